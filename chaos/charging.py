"""What one event costs, line by line, from the journal's row and a price list: the harness's own count.

It shares no line with the product's pricing. It knows what the streams of this harness send, and refuses anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from functools import reduce
from typing import Any, Final

from chaos.truth import Row

EXACT: Final = Context(prec=80, traps=[Inexact])
_ZERO: Final = Decimal(0)
_UNKNOWN_USE: Final = frozenset({"missing", "unknown"})
_COUNTED: Final = (
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"),
    *("audio_ms", "characters", "images"),
)
_PRICE_OF: Final = {
    "cache_read_tokens": "input_tokens",
    "cache_write_tokens": "input_tokens",
    "reasoning_tokens": "output_tokens",
}


@dataclass(frozen=True)
class Line:
    """A part of a charge: quantity x usd_per_unit = amount where the source is priced."""

    provider: str
    model: str
    unit: str
    source: str
    quantity: Decimal
    usd_per_unit: Decimal = _ZERO
    amount: Decimal = _ZERO


@dataclass(frozen=True)
class Charge:
    """How a call is priced (empty: no model was used), and the lines of the event."""

    how: str
    lines: tuple[Line, ...] = ()

    @property
    def model_cost(self) -> Decimal:
        """The first price of the call. Nothing else has a price here."""
        return total(line.amount for line in self.lines if line.source != "adjusted")

    @property
    def adjusted(self) -> Decimal:
        """What re-rating added."""
        return total(line.amount for line in self.lines if line.source == "adjusted")

    @property
    def cost(self) -> Decimal:
        """All of it."""
        return total(line.amount for line in self.lines)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    return reduce(EXACT.add, amounts, _ZERO)


def charged(row: Row, prices: Mapping[str, Decimal]) -> Charge:
    """The charge of an event by the prices of its model, unit by unit."""
    plugin = tuple(
        Line("plugin", row["plugin_id"], unit, "unpriced", amount)
        for unit, amount in row["custom_units"].items()
        if amount
    )
    how, lines = _call(row, prices)
    return Charge(how, (*lines, *plugin))


def rerated(row: Row, first: Charge, prices: Mapping[str, Decimal]) -> Charge:
    """The same event once it was priced anew: the difference is a line of its own, and what was unpriced no longer is.
    What the new prices do not know keeps its cost."""
    again = charged(row, prices)
    difference = EXACT.subtract(again.model_cost, first.model_cost)
    if again.how == "unpriced" or not difference:
        return first
    lines = tuple(line for line in first.lines if line.source != "unpriced" or line.provider == "plugin")
    line = Line(row["provider"], row["model"], "calls", "adjusted", Decimal(1), amount=difference)
    return Charge(again.how, (*lines, line))


def _call(row: Row, prices: Mapping[str, Decimal]) -> tuple[str, tuple[Line, ...]]:
    if not row["usage_type"]:
        return "", ()
    name = (row["provider"], row["model"])
    if row["reported_cost"] is not None:
        return "reported", (Line(*name, "calls", "reported", Decimal(1), amount=row["reported_cost"]),)
    if row["quality"] in _UNKNOWN_USE:
        return "unmeasured", (Line(*name, "calls", "unmeasured", Decimal(1)),)
    used = {unit: Decimal(count) for unit, count in cells(row).items() if count}
    known = {unit: price for unit in used if (price := _price(prices, unit)) is not None}
    if not prices or any(unit not in known for unit in used if unit != "requests"):
        return "unpriced", tuple(Line(*name, unit, "unpriced", count) for unit, count in used.items())
    return "priced", tuple(
        Line(*name, unit, "priced", used[unit], price, EXACT.multiply(used[unit], price))
        for unit, price in known.items()
    )


def cells(row: Row) -> dict[str, int]:
    """The counters split so that nothing is counted twice, and the call itself if it counted anything."""
    if row["ai_units"] or row["kind"] == "adjustment":
        raise AssertionError("the harness's own pricing knows no such event; teach it")
    stated = {unit: row[unit] for unit in _COUNTED}
    apart: dict[str, Any] = {
        "input_tokens": stated["input_tokens"] - stated["cache_read_tokens"] - stated["cache_write_tokens"],
        "output_tokens": stated["output_tokens"] - stated["reasoning_tokens"],
        "requests": int(any(stated.values())),
    }
    return {unit: max(0, count) for unit, count in {**stated, **apart}.items()}


def _price(prices: Mapping[str, Decimal], unit: str) -> Decimal | None:
    return prices.get(unit, prices.get(_PRICE_OF.get(unit, "")))
