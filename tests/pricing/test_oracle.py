"""Random calls of every packaged model cost what `genai-prices` itself makes of them, to the last digit.

What differs is named here: prices that the book holds rounded (within half of the 18th place for each unit), units for
which the package has no price and charges nothing where ours is an unpriced call, and Groq's minimum of ten seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from random import Random

from genai_prices.data_units import unit_data
from genai_prices.types import ModelInfo, Provider, Usage

from taximeter_consumers.pricing.estimate import Call, Estimate, estimated
from taximeter_consumers.pricing.packaged import OUR_UNITS, ROUNDED, packaged_rates, providers, tier_of
from taximeter_consumers.pricing.rate import Rate
from taximeter_consumers.pricing.series import compiled

FAR = datetime(2300, 1, 1, tzinfo=UTC)
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
HALF = Decimal("0.5e-18")
KEYS = {raw["price_key"]: key for key, raw in unit_data.items()}
CALLS_PER_MODEL = 3


def random_units(random: Random, own: set[str]) -> dict[str, int]:
    """Counts that do not contradict each other, mostly of units that the model has prices for."""

    def some(unit: str, most: int) -> int:
        return random.randrange(most) if unit in own or random.random() < 0.02 else 0

    size = random.choice([10, 5_000, 150_000, 250_000, 600_000])
    units = {unit: some(unit, size) for unit in ("cache_read_tokens", "cache_write_tokens", "input_audio_tokens")}
    units |= {unit: some(unit, size) for unit in ("input_image_tokens", "input_video_tokens")}
    units["cache_write_1h_tokens"] = random.randint(0, units["cache_write_tokens"]) if random.random() < 0.5 else 0
    left = units["cache_read_tokens"]
    for cached, media in (
        ("cache_audio_read_tokens", "input_audio_tokens"),
        ("cache_image_read_tokens", "input_image_tokens"),
    ):
        units[cached] = min(left, units[media]) // 2
        left -= units[cached]
    parts = (
        "cache_read_tokens",
        "cache_write_tokens",
        "input_audio_tokens",
        "input_image_tokens",
        "input_video_tokens",
    )
    units["input_tokens"] = sum(units[part] for part in parts) + random.randrange(size)
    outputs = (
        "reasoning_tokens",
        "output_audio_tokens",
        "output_image_tokens",
        "output_video_tokens",
        "citation_tokens",
    )
    units |= {unit: some(unit, 5_000) for unit in outputs}
    units["output_tokens"] = sum(units[unit] for unit in outputs) + some("output_tokens", 5_000)
    units |= {unit: some(unit, 100) for unit in ("web_searches", "storage_searches", "document_pages", "characters")}
    units["annotated_document_pages"] = min(units["document_pages"], some("annotated_document_pages", 20))
    units["audio_ms"] = some("audio_ms", 10**6) + 10_000 if "audio_ms" in own else 0
    if not own & {"input_tokens", "cache_read_tokens"} and random.random() < 0.98:
        units = {unit: count for unit, count in units.items() if unit in own}
    return units


def usage_of(units: dict[str, int]) -> Usage:
    """The same counts in the package's words: audio is in seconds there."""
    stated = {}
    for key, unit in OUR_UNITS.items():
        if unit != "requests":
            count = Decimal(units.get(unit, 0))
            stated[KEYS[key]] = count / 1_000 if unit == "audio_ms" else count
    return Usage(**stated)


def slack(found: Estimate, rounded: set[str]) -> Decimal:
    """By how much a cost may differ: half of the 18th place for each unit whose price the book holds rounded."""
    with localcontext(prec=60):
        return sum((abs(line.quantity) * HALF for line in found.lines if rounded), Decimal(0))


def ours_and_theirs(
    provider: Provider, model: ModelInfo, rates: list[Rate], random: Random
) -> tuple[Estimate, Decimal]:
    """One random call of a model: our estimate, and the package's price of it."""
    own = {rate.unit for rate in rates}
    units = random_units(random, own)
    tiers = [({}, "")] + [(one.when, tier) for one in model.price_variants or () if (tier := tier_of(one.when))]
    when, tier = random.choice(tiers)
    moment = FIRST + timedelta(microseconds=random.randrange(int(timedelta(days=1_200) / timedelta(microseconds=1))))
    call = Call(provider.id, model.id, units, service_tier=tier)
    found = estimated(call, (provider.id, model.id), compiled(rates), moment, FAR)
    with localcontext(prec=60):
        theirs = model.calc_price(
            usage_of(units), provider, genai_request_timestamp=moment, price_context=when
        ).total_price
    return found, theirs


def test_random_calls_cost_what_the_package_says() -> None:
    """Thousands of random calls of all models: our cost is the package's, or a unit has no price in the book."""
    by_model: dict[tuple[str, str], list[Rate]] = {}
    for rate in packaged_rates():
        by_model.setdefault((rate.provider, rate.model), []).append(rate)
    random = Random(5)
    priced, unpriced, wrong = 0, 0, []
    for provider in providers().values():
        for model in provider.models:
            rates = by_model.get((provider.id, model.id), [])
            rounded = {rate.unit for rate in rates if rate.source.endswith(ROUNDED)}
            for _ in range(CALLS_PER_MODEL if rates else 0):
                found, theirs = ours_and_theirs(provider, model, rates, random)
                if found.cost_source == "unpriced":
                    unpriced += 1
                    assert found.lacking
                    continue
                priced += 1
                if abs(found.cost_usd - theirs) > slack(found, rounded):
                    wrong.append((provider.id, model.id, found.cost_usd, theirs, found.call, found.at))
    assert wrong == []
    assert priced > 5_000
    assert priced > 5 * unpriced
