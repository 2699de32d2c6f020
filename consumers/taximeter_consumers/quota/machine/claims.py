"""How much a hold claims, and how a change of an inner one reaches those around it.

For each hold, level and meter:
    gross = open, expired: max(amount, inner gross); settled: max(actual, inner gross); released: inner gross
    seen  = what is visible of its own transaction and of all inner ones, by the facts of that level
    left  = max(0, gross - seen, what is left of the inner ones)
The last term is on the safe side: what is visible of one transaction never makes up for what another one still lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from taximeter_consumers.quota.machine.holds import NONE, Hold, State, Sums
from taximeter_schemas.quota.meters import ZERO


@dataclass(frozen=True, slots=True)
class Weight:
    """What an inner hold adds to the totals of the one around it."""

    gross: Mapping[str, Decimal]
    seen: Mapping[str, Mapping[str, Decimal]]
    left: Mapping[str, Mapping[str, Decimal]]


NO_WEIGHT: Final = Weight({}, {}, {})


def gross(hold: Hold) -> Mapping[str, Decimal]:
    """What it stands for, whatever is visible of it."""
    if hold.state is State.RELEASED:
        return hold.inner.gross
    own = {**hold.amounts, **hold.actual} if hold.state is State.SETTLED else hold.amounts
    inner = hold.inner.gross
    if not inner:
        return own
    return {meter: max(own.get(meter, ZERO), inner.get(meter, ZERO)) for meter in {**own, **inner}}


def seen(hold: Hold, level: str) -> Mapping[str, Decimal]:
    """What is visible of it and of all within it, by the facts of `level`."""
    own, inner = hold.seen.get(level, NONE), hold.inner.seen.get(level)
    return own if not inner else _sum(own, inner)


def left(hold: Hold, level: str) -> Sums:
    """What it still claims at `level`, beyond what the usage there says."""
    visible, inner = seen(hold, level), hold.inner.left.get(level, NONE)
    return {
        meter: max(ZERO, amount - visible.get(meter, ZERO), inner.get(meter, ZERO))
        for meter, amount in gross(hold).items()
    }


def room_within(hold: Hold, meter: str) -> Decimal:
    """How much of `meter` a new inner hold may draw: what neither inner holds nor the work itself have taken."""
    taken = hold.inner.gross.get(meter, ZERO)
    for level in hold.levels:
        to_come = hold.inner.left.get(level, NONE).get(meter, ZERO)
        taken = max(taken, seen(hold, level).get(meter, ZERO) + to_come)
    return hold.amounts.get(meter, ZERO) - taken


def weight(hold: Hold) -> Weight:
    """What it adds to the hold around it."""
    visible = {level: seen(hold, level) for level in hold.levels}
    return Weight(gross(hold), visible, {level: left(hold, level) for level in hold.levels})


def weights(hold: Hold) -> list[Weight]:
    """Its weight and that of every hold around it but the top: to be taken before a change."""
    found = []
    while hold.outer is not None:
        found.append(weight(hold))
        hold = hold.outer
    return found


def changed(hold: Hold, before: list[Weight]) -> None:
    """Bring the totals of all holds around it up to date after a change of it."""
    for was in before:
        if hold.outer is None:
            return
        shift(hold.outer, was, weight(hold))
        hold = hold.outer


def shift(outer: Hold, was: Weight, now: Weight) -> None:
    """Put one weight for another into the totals of `outer`."""
    _replace(outer.inner.gross, was.gross, now.gross)
    for level in outer.levels:
        _replace(outer.inner.seen.setdefault(level, {}), was.seen.get(level, NONE), now.seen.get(level, NONE))
        _replace(outer.inner.left.setdefault(level, {}), was.left.get(level, NONE), now.left.get(level, NONE))


def _replace(sums: Sums, was: Mapping[str, Decimal], now: Mapping[str, Decimal]) -> None:
    if was == now:
        return
    for meter, amount in was.items():
        sums[meter] = sums.get(meter, ZERO) - amount
    for meter, amount in now.items():
        sums[meter] = sums.get(meter, ZERO) + amount


def _sum(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> Sums:
    both = dict(one)
    for meter, amount in other.items():
        both[meter] = both.get(meter, ZERO) + amount
    return both
