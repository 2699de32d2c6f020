"""What one event costs, as a pure function: the reference that `charged_events.sql` is held against by test.

Token counters overlap (input includes cache reads and writes), so they are split before they are priced: the remainder
of the input at the input price, cache reads and writes at their own, output at its own. Reasoning is part of the output
and is never priced again.

A remainder below zero means that the reporter contradicts itself. It counts as zero and the cache counters as stated,
except in an adjustment: that is a difference between two statements, where a remainder below zero is right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final, Literal

from taximeter_schemas.event import Kind, Quality
from taximeter_schemas.money import COST_SCALE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taximeter_schemas.event import AiUsage, MeterEvent

Source = Literal["reported", "priced", "unpriced", "unmeasured", "none"]

LARGEST_COST: Final = Decimal(10) ** 12
"""US dollars. A single call that costs more is a broken counter; it counts as unmeasured and cannot stop a rollup."""

_UNMEASURED: Final = frozenset({Quality.MISSING, Quality.UNKNOWN})
_DIGITS: Final = 76


@dataclass(frozen=True)
class RateCard:
    """All known prices of one model at one instant: unit -> US dollars for one of it."""

    usd_per_unit: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True)
class Charge:
    """What an event costs in US dollars, and how that is known. The cost is zero where it is not known."""

    cost: Decimal
    source: Source


def quantities(ai: AiUsage, kind: Kind) -> dict[str, int]:
    """The counters of a call split so that they do not overlap: unit -> how many."""
    remainder = ai.input_tokens - ai.cache_read_tokens - ai.cache_write_tokens
    if kind is not Kind.ADJUSTMENT:
        remainder = max(0, remainder)
    return {
        "input_tokens": remainder,
        "cache_read_tokens": ai.cache_read_tokens,
        "cache_write_tokens": ai.cache_write_tokens,
        "output_tokens": ai.output_tokens,
        "audio_ms": ai.audio_ms,
        "characters": ai.characters,
        "images": ai.images,
    }


def cost_of(event: MeterEvent, card: RateCard | None) -> Charge:
    """The charge of an event at the prices of `card`, those of the instant it occurred; None: no price is known.

    `none`: no model was used. `reported`: the provider stated the cost, zero included. `unmeasured`: nobody knows what
    was used. `unpriced`: there is no card, or a unit that was used is not on it; such a call is never priced in part.
    """
    if event.ai is None:
        return Charge(Decimal(0), "none")
    stated = event.ai.reported_cost
    if stated is not None:
        return _bounded(stated, "reported")
    if event.ai.quality in _UNMEASURED:
        return Charge(Decimal(0), "unmeasured")
    used = {unit: count for unit, count in quantities(event.ai, event.kind).items() if count}
    if card is None or not used.keys() <= card.usd_per_unit.keys():
        return Charge(Decimal(0), "unpriced")
    with localcontext(prec=_DIGITS):
        return _bounded(sum((card.usd_per_unit[unit] * count for unit, count in used.items()), Decimal(0)), "priced")


def _bounded(cost: Decimal, source: Source) -> Charge:
    if abs(cost) > LARGEST_COST:
        return Charge(Decimal(0), "unmeasured")
    with localcontext(prec=_DIGITS):
        return Charge(cost.quantize(Decimal(1).scaleb(-COST_SCALE)), source)
