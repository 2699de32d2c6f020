"""What is held equal, and where it is not: measures, gaps and their comparison. Pure.

Every number is a whole one: counts as they are, costs and units of plugins in units of 10^-18, the scale of every
stored cost. So sums and differences are exact, however large they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Final

from taximeter_schemas.money import COST_SCALE

COUNTERS: Final = ("events", "executions", "input_tokens", "output_tokens", "total_tokens")
COST: Final = "cost_usd"
LINES: Final = "lines"
"""Single charges, those without a price included, which no cost would miss."""
MEASURES: Final = (*COUNTERS, COST, "unpriced_calls", "unmeasured_calls")
UNITS: Final = "plugin_units"
"""What plugins stated, of all units together."""
QUOTA_MEASURES: Final = (
    *MEASURES,
    *("code_us", "http_requests", "http_bytes", "plugin_invocations", UNITS, "unpriced_plugins"),
)
"""All that limits can count, and what it lacks."""

Values = Mapping[str, int]
"""A number for each measure."""

# More than any sum of 256 bits.
_EXACT: Final = Context(prec=90)


@dataclass(frozen=True, order=True)
class Place:
    """Where two numbers should be equal: an account's hour, minute (ISO 8601, UTC), run, node of a run, or period."""

    account_id: str
    kind: str
    key: str
    node_id: str = ""

    def __str__(self) -> str:
        node = f" node {self.node_id or '(none)'}" if self.kind == "node" else ""
        return f"{'run' if self.kind == 'node' else self.kind} {self.key or '(none)'}{node}"


@dataclass(frozen=True)
class Gap:
    """Two numbers that should be equal and are not; `pair` names the two sides."""

    pair: str
    place: Place
    measure: str
    left: int
    right: int

    @property
    def difference(self) -> int:
        """What the right side has beyond the left one."""
        return self.right - self.left


def whole(text: str) -> int:
    """A cost in plain digits, at most 18 decimal places, as a whole number. Raises ValueError for a finer one."""
    units, _, fraction = text.partition(".")
    if len(fraction) > COST_SCALE:
        raise ValueError(f"{text} has more than {COST_SCALE} decimal places")
    return int(units + fraction.ljust(COST_SCALE, "0"))


def amount(measure: str, value: int) -> Decimal:
    """A number of a measure for people and for JSON: US dollars for costs."""
    return Decimal(value).scaleb(-COST_SCALE, _EXACT) if measure in (COST, UNITS) else Decimal(value)


def number(measure: str, text: str) -> int:
    """A number of a measure as the engine wrote it."""
    return whole(text) if measure.endswith((COST, UNITS)) else int(text)


def compare(pair: str, place: Place, left: Values, right: Values, measures: Sequence[str]) -> list[Gap]:
    """The gaps between two sides of one place; a side without a number has 0."""
    return [
        Gap(pair, place, measure, left.get(measure, 0), right.get(measure, 0))
        for measure in measures
        if left.get(measure, 0) != right.get(measure, 0)
    ]
