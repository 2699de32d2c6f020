"""The list prices of the pinned package `genai-prices`, as rates of the book. Pure: it reads the package's data alone.

The package picks a model's prices for an instant out of a list of conditions (from a date on, within hours of the day)
and overrides single ones for a way of processing. Here each model is asked at every instant at which anything may
change, in every window and for every service tier; what differs from the instant before becomes a row. What a later
condition no longer has gets a null row. So the rows resolve to what the package says at any instant, by construction.

Its network updater is never called, nor anything that would import it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from taximeter_consumers.pricing.rate import DAY_SECONDS, EPOCH, Rate
from taximeter_consumers.pricing.units import STANDARD
from taximeter_schemas.money import COST_SCALE

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, PriceVariant, Provider, TieredPrices

PACKAGE: Final = "genai-prices"
ADDED_BY: Final = "taximeter prices sync"
ROUNDED: Final = ", rounded at the 18th place"

OUR_UNITS: Final = {
    "input_mtok": "input_tokens",
    "output_mtok": "output_tokens",
    "cache_read_mtok": "cache_read_tokens",
    "cache_write_mtok": "cache_write_tokens",
    "cache_write_1h_mtok": "cache_write_1h_tokens",
    "input_audio_mtok": "input_audio_tokens",
    "cache_audio_read_mtok": "cache_audio_read_tokens",
    "input_image_mtok": "input_image_tokens",
    "cache_image_read_mtok": "cache_image_read_tokens",
    "input_video_mtok": "input_video_tokens",
    "output_audio_mtok": "output_audio_tokens",
    "output_image_mtok": "output_image_tokens",
    "output_video_mtok": "output_video_tokens",
    "output_reasoning_mtok": "reasoning_tokens",
    "output_citation_mtok": "citation_tokens",
    "audio_hours": "audio_ms",
    "input_audio_hours": "audio_ms",
    "input_mchars": "characters",
    "requests_kcount": "requests",
    "web_searches_kcount": "web_searches",
    "storage_searches_kcount": "storage_searches",
    "input_document_kpages": "document_pages",
    "input_annotated_document_kpages": "annotated_document_pages",
}
"""The package's price keys, and our units. Where both keys of audio are there, the later one here counts."""

LEFT_OUT: Final = {
    "input_text_messages_kcount": "text messages of a voice session are not counted by any hook",
}
"""Price keys in use that have no unit of ours. A call that used such a thing costs what its other units cost."""

LEFT_OUT_CONTEXTS: Final = {
    "route": "the route through a reseller is not on the event",
    "search_type": "the kind of a search is not on the event",
}
"""Conditions on a request that we do not know; their prices are left out and the unconditional ones hold."""

_CONTEXT_TIERS: Final = {
    ("processing", "batch"): "batch",
    ("service_tier", "default"): STANDARD,
    ("speed", "fast"): "fast",
}
_PER: Final[Mapping[str, int]] = {
    **dict.fromkeys(OUR_UNITS, 1_000_000),
    **{key: 1_000 for key in OUR_UNITS if key.endswith(("_kcount", "_kpages"))},
    # Of milliseconds.
    **{key: 3_600_000 for key in OUR_UNITS if key.endswith("_hours")},
}
_PLACES: Final = Decimal(1).scaleb(-COST_SCALE)

Cell = tuple[str, str, int, int, int]
"""(unit, service tier, above input tokens, window start, window end)."""
Window = tuple[int, int]


@dataclass(frozen=True)
class _Price:
    usd: Decimal
    rounded: bool


def packaged_source() -> str:
    """What the rows name as their source: the package and its version."""
    return f"{PACKAGE} {version(PACKAGE)}"


@cache
def providers() -> Mapping[str, Provider]:
    """The package's providers by id. Importing them takes a third of a second, so it waits until somebody asks."""
    from genai_prices.data import providers as packaged

    return {provider.id: provider for provider in packaged}


def packaged_rates() -> list[Rate]:
    """Every list price of the package, in the order of providers, models and instants."""
    source = packaged_source()
    return [
        rate
        for provider in providers().values()
        for model in provider.models
        for rate in rates_of(provider.id, model, source)
    ]


def rates_of(provider: str, model: ModelInfo, source: str) -> list[Rate]:
    """The rates of one model. Raises ValueError for prices that rows cannot express."""
    rates: list[Rate] = []
    before: dict[Cell, _Price] = {}
    windows = _windows(model)
    for instant in _instants(model):
        cells = _cells(model, instant, windows)
        for cell in sorted(before.keys() | cells.keys()):
            old, new = before.get(cell), cells.get(cell)
            if old != new:
                rates.append(_rate(provider, model.id, cell, instant, new, source))
        before = cells
    return rates


def tier_of(when: Mapping[str, str]) -> str | None:
    """Our service tier for the package's condition on a request; None for one that is left out."""
    if len(when) != 1:
        return None
    ((key, value),) = when.items()
    return _CONTEXT_TIERS.get((key, value), value if key == "service_tier" else None)


def _rate(provider: str, model: str, cell: Cell, instant: datetime, price: _Price | None, source: str) -> Rate:
    unit, tier, above, start, end = cell
    return Rate(
        provider,
        model,
        unit,
        price.usd if price else None,
        instant,
        source + (ROUNDED if price and price.rounded else ""),
        service_tier=tier,
        above_input_tokens=above,
        window_start=start,
        window_end=end,
        added_by=ADDED_BY,
    )


def _cells(model: ModelInfo, midnight: datetime, windows: Sequence[Window]) -> dict[Cell, _Price]:
    """All prices from this midnight (UTC) on: those of the whole day, and those of windows that differ from them."""
    covered = [window for window in windows if window in _covered(model)]
    around = next((window for window in windows if window not in covered), (0, DAY_SECONDS))
    cells: dict[Cell, _Price] = {}
    for tier, variants in _tiers(model).items():
        whole = _card(model, midnight + timedelta(seconds=around[0]), tier, variants)
        cells |= {(unit, tier, above, 0, DAY_SECONDS): price for (unit, above), price in whole.items()}
        for start, end in covered:
            card = _card(model, midnight + timedelta(seconds=start), tier, variants)
            if card == whole:
                continue
            if {unit for unit, _ in whole} - {unit for unit, _ in card}:
                raise ValueError(f"{model.id}: a unit has a price around a window of the day and none within")
            cells |= {(unit, tier, above, start, end): price for (unit, above), price in card.items()}
    return cells


def _card(
    model: ModelInfo, moment: datetime, tier: str, variants: Sequence[PriceVariant]
) -> dict[tuple[str, int], _Price]:
    """Prices at a moment by unit and tokens that must be exceeded; for a tier only those that the tier itself has."""
    if tier == STANDARD:
        prices = model.get_prices(moment)
        keys = set(prices.__dict__)
    else:
        active = [one for one in variants if one.constraint is None or one.constraint.active(moment)]
        prices = model.get_prices(moment, active[0].when) if active else model.get_prices(moment)
        keys = {key for one in active for key, price in one.prices.__dict__.items() if price is not None}
    card: dict[tuple[str, int], _Price] = {}
    # In our order, so that of two keys for one unit the more particular one counts.
    for key, unit in OUR_UNITS.items():
        if key in keys and (price := getattr(prices, key)) is not None:
            card |= {(unit, above): _exact(key, usd) for above, usd in _steps(price)}
    return card


def _steps(price: Decimal | TieredPrices) -> Iterator[tuple[int, Decimal]]:
    if isinstance(price, Decimal):
        yield 0, price
        return
    yield 0, price.base
    for tier in price.tiers:
        if tier.start < 1:
            raise ValueError("a tier of prices that begins with no token")
        yield tier.start, tier.price


def _exact(key: str, price: Decimal) -> _Price:
    with localcontext(prec=60):
        one = price / _PER[key]
        kept = one.quantize(_PLACES, rounding=ROUND_HALF_EVEN)
        # A division that never ends is cut at 60 digits; multiplied again it is not the price.
        return _Price(kept, kept * _PER[key] != price)


def _tiers(model: ModelInfo) -> dict[str, list[PriceVariant]]:
    """The service tiers that have prices of their own, standard first; of each its conditions, in order."""
    tiers: dict[str, list[PriceVariant]] = {STANDARD: []}
    for variant in model.price_variants or ():
        tier = tier_of(variant.when)
        if tier is not None:
            tiers.setdefault(tier, []).append(variant)
    return tiers


def _instants(model: ModelInfo) -> list[datetime]:
    from genai_prices.types import StartDateConstraint

    dates = {one.start_date for one in _constraints(model) if isinstance(one, StartDateConstraint)}
    return [EPOCH, *(datetime.combine(date, time(), UTC) for date in sorted(dates))]


def _windows(model: ModelInfo) -> list[Window]:
    """The day, cut wherever any of the model's windows begins or ends; none wraps around midnight."""
    cuts = {0, DAY_SECONDS}
    for start, end in _stated_windows(model):
        cuts |= {start, end}
    return list(pairwise(sorted(cuts)))


def _covered(model: ModelInfo) -> set[Window]:
    """Those parts of the day that lie in a window that the package states."""
    stated = list(_stated_windows(model))
    return {window for window in _windows(model) if any(_within(window[0], *one) for one in stated)}


def _within(second: int, start: int, end: int) -> bool:
    return start <= second < end if start <= end else second >= start or second < end


def _stated_windows(model: ModelInfo) -> Iterator[Window]:
    from genai_prices.types import TimeOfDateConstraint

    for one in _constraints(model):
        if isinstance(one, TimeOfDateConstraint):
            yield _second(one.start_time), _second(one.end_time)


def _second(moment: time) -> int:
    """The second of the UTC day."""
    whole = datetime.combine(EPOCH.date(), moment, moment.tzinfo or UTC).astimezone(UTC)
    if whole.microsecond:
        raise ValueError("a window of the day that begins within a second")
    return whole.hour * 3600 + whole.minute * 60 + whole.second


def _constraints(model: ModelInfo) -> Iterator[object]:
    conditions = model.prices if isinstance(model.prices, list) else []
    yield from (one.constraint for one in conditions)
    yield from (one.constraint for one in model.price_variants or ())
