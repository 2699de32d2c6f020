"""Quantities, prices and amounts as people read them: `1,234,567 input tokens` at `$2.50 per 1M tokens`. Pure.

Rounded for the eye only; JSON and CSV have every digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Final

from taximeter_consumers.billing.amounts import times
from taximeter_schemas.money import plain

if TYPE_CHECKING:
    from taximeter_consumers.billing.lines import Key

_PLACES: Final = 6
_ROUND: Final = Context(prec=60, rounding=ROUND_HALF_UP)
_FEW: Final = Decimal("0.01")


@dataclass(frozen=True)
class Measure:
    """How a unit is shown: what one of `size` units is called, and per how many of those its price is quoted."""

    word: str
    size: int = 1
    per: int = 1


_MEASURES: Final = {
    "calls": Measure("calls"),
    "requests": Measure("requests"),
    "images": Measure("images"),
    "executions": Measure("node executions"),
    "web_searches": Measure("web searches", per=1_000),
    "storage_searches": Measure("storage searches", per=1_000),
    "document_pages": Measure("pages", per=1_000),
    "annotated_document_pages": Measure("annotated pages", per=1_000),
    "characters": Measure("characters", per=1_000_000),
    "audio_ms": Measure("minutes of audio", size=60_000),
    "cpu_us": Measure("CPU seconds", size=1_000_000),
    "http_requests": Measure("HTTP requests", per=1_000),
    "http_bytes_out": Measure("MB sent", size=1_000_000),
    "http_bytes_in": Measure("MB received", size=1_000_000),
    "plugin_invocations": Measure("invocations"),
    "cache_write_1h_tokens": Measure("cache write tokens (1 h)", per=1_000_000),
}
_SCALES: Final = {1: "", 1_000: "1K ", 1_000_000: "1M "}
_SINGULAR: Final = {
    "calls": "call", "requests": "request", "images": "image", "node executions": "node execution",
    "minutes of audio": "minute of audio", "CPU seconds": "CPU second", "invocations": "invocation",
    "MB sent": "MB sent", "MB received": "MB received",
}  # fmt: skip
_SOURCES: Final = {
    "reported": "as charged by the provider",
    "unpriced": "no price known: not billed",
    "unmeasured": "use not known: not billed",
    "adjusted": "price corrected afterwards",
}


def measure_of(unit: str) -> Measure:
    """How a unit is shown; plugins' own units by their name."""
    known = _MEASURES.get(unit)
    if known is not None:
        return known
    return Measure(unit.replace("_", " "), per=1_000_000 if unit.endswith("_tokens") else 1)


def quantity_text(quantity: Decimal, unit: str) -> str:
    """For example `1,234,567 input tokens`."""
    measure = measure_of(unit)
    count = _grouped(quantity / measure.size if measure.size > 1 else quantity, 3)
    return f"{count} {_one(measure.word) if count == '1' else measure.word}"


def price_text(key: Key) -> str:
    """For example `$2.50 per 1M tokens`; where there is no unit price, where the amount is from."""
    if key.source in _SOURCES:
        return _SOURCES[key.source]
    measure = measure_of(key.unit)
    price = times(key.usd_per_unit, Decimal(measure.size * measure.per))
    many = "tokens" if key.unit.endswith("_tokens") else measure.word
    word = many if measure.per > 1 else _one(measure.word)
    return f"${_at_least_cents(price)} per {_SCALES[measure.per]}{word}"


def dollars(amount: Decimal, *, places: int = _PLACES) -> str:
    """For example `-$3.3333`: with two decimal places at least; what would show as nothing is `< $0.000001`."""
    if amount and abs(amount) < _FEW.scaleb(2 - places) / 2:
        return f"{'>' if amount < 0 else '<'} {'-' if amount < 0 else ''}${_at_least_cents(Decimal(1).scaleb(-places))}"
    rounded = abs(amount).quantize(Decimal(1).scaleb(-places), context=_ROUND)
    return f"{'-' if amount < 0 and rounded else ''}${_at_least_cents(rounded)}"


def _one(word: str) -> str:
    """The word for one of it; a plugin's own unit is a name and stays as it is."""
    return word.removesuffix("s") if word.endswith(" tokens") else _SINGULAR.get(word, word)


def _at_least_cents(amount: Decimal) -> str:
    whole, _, fraction = plain(amount).partition(".")
    return f"{int(whole):,}.{fraction:0<2}"


def _grouped(quantity: Decimal, places: int) -> str:
    whole, _, fraction = plain(quantity.quantize(Decimal(1).scaleb(-places), context=_ROUND)).partition(".")
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{int(whole.lstrip('-')):,}{'.' + fraction if fraction else ''}"
