"""The packaged book says what `genai-prices` says: every model, every instant, every tier, every size of input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from genai_prices.data_units import unit_data
from genai_prices.types import ClauseEquals as Equals
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from taximeter_consumers.pricing import packaged
from taximeter_consumers.pricing.packaged import (
    LEFT_OUT,
    LEFT_OUT_CONTEXTS,
    OUR_UNITS,
    packaged_rates,
    providers,
    rates_of,
    tier_of,
)
from taximeter_consumers.pricing.rate import EPOCH, Rate
from taximeter_consumers.pricing.series import Use, compiled, fitting
from taximeter_consumers.pricing.units import STANDARD, UNIT, UNITS

MICROSECOND = timedelta(microseconds=1)
FAR = datetime(2030, 1, 1, 13, 0, tzinfo=UTC)
# Keys of the package in our order: of two for one unit the later one counts.
KEYS = {unit: [key for key, name in OUR_UNITS.items() if name == unit] for unit in UNIT}
PER = {
    raw["price_key"]: raw["per"] * (1_000 if raw["price_key"].endswith("_hours") else 1) for raw in unit_data.values()
}


def models() -> list[tuple[str, ModelInfo]]:
    """Every model of the package with its provider's id."""
    return [(provider.id, model) for provider in providers().values() for model in provider.models]


def whens(model: ModelInfo) -> Iterator[tuple[str, dict[str, str]]]:
    """The service tiers of a model that we know, each with the package's condition for it."""
    yield STANDARD, {}
    for variant in model.price_variants or ():
        tier = tier_of(variant.when)
        if tier is not None:
            yield tier, variant.when


def moments(model: ModelInfo) -> set[datetime]:
    """Around every instant at which a price may change."""
    conditions = [one.constraint for one in model.prices] if isinstance(model.prices, list) else []
    constraints = [*conditions, *(one.constraint for one in model.price_variants or ())]
    midnights = {EPOCH, FAR.replace(hour=0)}
    midnights |= {
        datetime.combine(one.start_date, time(), UTC) for one in constraints if isinstance(one, StartDateConstraint)
    }
    edges = {timedelta()}
    for one in constraints:
        if isinstance(one, TimeOfDateConstraint):
            for clock in (one.start_time, one.end_time):
                edges.add(timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second))
    around = {
        midnight + edge + off
        for midnight in midnights
        for edge in edges
        for off in (-MICROSECOND, timedelta(), MICROSECOND)
    }
    return {moment for moment in {*around, FAR} if moment >= EPOCH}


def sizes(model: ModelInfo) -> set[int]:
    """Input tokens around every tier of prices."""
    prices = [one.prices for one in model.prices] if isinstance(model.prices, list) else [model.prices]
    prices += [one.prices for one in model.price_variants or ()]
    starts = {
        tier.start
        for one in prices
        for value in one.__dict__.values()
        if isinstance(value, TieredPrices)
        for tier in value.tiers
    }
    return {0, *starts, *(start + 1 for start in starts)}


def per_unit(prices: ModelPrice, size: int) -> dict[str, Decimal]:
    """What the package says of each unit of ours at this size of input, with the units whose price it takes."""
    own: dict[str, Decimal] = {}
    for unit, keys in KEYS.items():
        for key in keys:
            value = getattr(prices, key)
            if isinstance(value, TieredPrices):
                value = next((tier.price for tier in reversed(value.tiers) if size > tier.start), value.base)
            if value is not None:
                with localcontext(prec=60):
                    own[unit] = (value / PER[key]).quantize(Decimal(1).scaleb(-18), rounding=ROUND_HALF_EVEN)
    return {
        unit.name: own[name]
        for unit in UNITS
        if (name := next((name for name in (unit.name, *unit.prices_of) if name in own), None))
    }


def differences(model: ModelInfo, rates: list[Rate]) -> Iterator[str]:
    """Where the card that our rows give is not what the package says."""
    entries = compiled(rates)
    for tier, when in whens(model):
        for moment in moments(model):
            prices = model.get_prices(moment, when)
            for size in sizes(model):
                card = fitting(entries, Use(moment, FAR, tier, size))
                ours = dict(card.usd_per_unit) if card else {}
                theirs = per_unit(prices, size)
                yield "" if ours == theirs else f"{tier} {moment.isoformat()} {size}: {ours} {theirs}"


def test_every_price_at_every_instant_is_the_packages() -> None:
    """All models x instants around every change x service tiers x sizes around every tier: equal to the last digit."""
    by_model: dict[tuple[str, str], list[Rate]] = {}
    for rate in packaged_rates():
        by_model.setdefault((rate.provider, rate.model), []).append(rate)
    compared, wrong = 0, []
    for provider, model in models():
        for difference in differences(model, by_model.get((provider, model.id), [])):
            compared += 1
            if difference:
                wrong.append(f"{provider}/{model.id} {difference}")
    assert wrong == []
    assert compared > 10_000


def test_the_rates_are_unique_and_say_where_they_come_from() -> None:
    """One row for each series and instant, none negative, each with its source; prices that were rounded say so."""
    rates = packaged_rates()
    assert max(Counter((rate.series, rate.valid_from) for rate in rates).values()) == 1
    assert all(rate.usd_per_unit is None or rate.usd_per_unit >= 0 for rate in rates)
    assert all(rate.source.startswith(packaged.packaged_source()) and rate.account_id == "" for rate in rates)
    assert all(rate.unit in UNIT and 0 <= rate.window_start < rate.window_end <= 86_400 for rate in rates)
    rounded = {(rate.provider, rate.unit) for rate in rates if rate.source.endswith(packaged.ROUNDED)}
    assert {unit for provider, unit in rounded if provider not in ("openrouter", "huggingface_together")} == {
        "audio_ms"
    }
    assert {unit for provider, unit in rounded if provider == "openrouter"} == {"cache_write_tokens"}


def test_every_price_key_has_a_unit_or_a_reason() -> None:
    """What the package prices and we do not is named with the reason, and nothing is named in vain."""
    used: set[str] = set()
    contexts: set[str] = set()
    for _, model in models():
        conditions = model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]
        for one in (*conditions, *(model.price_variants or ())):
            used |= {key for key, value in one.prices.__dict__.items() if value is not None}
        contexts |= {key for one in model.price_variants or () if tier_of(one.when) is None for key in one.when}
    assert used == {*OUR_UNITS, *LEFT_OUT} & used
    assert set(LEFT_OUT) <= used
    assert contexts == set(LEFT_OUT_CONTEXTS)


def test_our_fallbacks_are_the_packages_ancestors() -> None:
    """A unit takes the price of a unit that includes it in the package too; citations are our one addition."""
    dimensions = {raw["price_key"]: set(raw["dimensions"].items()) for raw in unit_data.values()}
    keys = {unit: key for key, unit in OUR_UNITS.items()}
    for unit in UNITS:
        for parent in unit.prices_of:
            assert dimensions[keys[parent]] <= dimensions[keys[unit.name]], (unit.name, parent)


def test_the_default_tier_is_the_standard_one() -> None:
    """The package names `default` without giving it prices, so it is what we call standard."""
    stated = [
        variant
        for _, model in models()
        for variant in model.price_variants or ()
        if variant.when == {"service_tier": "default"}
    ]
    assert stated
    assert all(not any(value is not None for value in variant.prices.__dict__.values()) for variant in stated)


def made(prices: ModelPrice | list[ConditionalPrice], variants: list[PriceVariant] | None = None) -> ModelInfo:
    """A model of the package's kind."""
    return ModelInfo(id="m", match=Equals("m"), prices=prices, price_variants=variants)


def test_what_a_later_condition_lacks_ends() -> None:
    """A tier, a unit, a window and a service tier that are gone from a date on get a null row at that date."""
    later = datetime(2026, 5, 1, tzinfo=UTC)
    start = StartDateConstraint(later.date())
    rich = ModelPrice(
        input_mtok=TieredPrices(Decimal(1), [Tier(1000, Decimal(2))]),
        output_mtok=Decimal(3),
        cache_read_mtok=Decimal("0.5"),
    )
    night = ConditionalPrice(
        TimeOfDateConstraint(time(22), time(6)), prices=ModelPrice(**{**rich.__dict__, "output_mtok": Decimal(1)})
    )
    model = made(
        [ConditionalPrice(prices=rich), night, ConditionalPrice(start, prices=ModelPrice(input_mtok=Decimal(1)))],
        [PriceVariant({"processing": "batch"}, ModelPrice(output_mtok=Decimal("1.5")))],
    )
    rates = rates_of("lab", model, "test")
    assert [difference for difference in differences(model, rates) if difference] == []
    ended = {(rate.unit, rate.above_input_tokens, rate.window_start) for rate in rates if rate.usd_per_unit is None}
    assert ended >= {
        ("input_tokens", 1000, 0),
        ("output_tokens", 0, 0),
        ("cache_read_tokens", 0, 0),
        ("output_tokens", 0, 79_200),
    }
    assert {rate.window_end for rate in rates} == {21_600, 86_400}
    assert all(rate.valid_from in (EPOCH, later) for rate in rates)


def test_prices_that_rows_cannot_say_are_refused() -> None:
    """A unit that has a price around a window and none within it, or a tier that begins with no token, is an error."""
    night = ConditionalPrice(TimeOfDateConstraint(time(1), time(2)), prices=ModelPrice(input_mtok=Decimal(1)))
    day = ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1)))
    with pytest.raises(ValueError, match="window"):
        rates_of("lab", made([day, night]), "test")
    with pytest.raises(ValueError, match="tier"):
        rates_of("lab", made(ModelPrice(input_mtok=TieredPrices(Decimal(1), [Tier(0, Decimal(2))]))), "test")
