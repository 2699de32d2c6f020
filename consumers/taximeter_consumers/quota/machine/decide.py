"""Whether a reserve fits. Pure: the levels as they stand, what is asked, the time.

A denial of a limit that is known is stronger than not knowing another one: no policy for outages may let pass what is
known to be used up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from taximeter_consumers.quota.machine.claims import room_within
from taximeter_consumers.quota.machine.holds import Hold
from taximeter_consumers.quota.machine.levels import Level, window_of
from taximeter_consumers.quota.machine.numbers import quarter
from taximeter_schemas.quota.answers import Standing, Status
from taximeter_schemas.quota.commands import Reserve
from taximeter_schemas.quota.limits import Action, Rule, Span
from taximeter_schemas.quota.meters import ZERO
from taximeter_schemas.quota.wording import amount_of, explained


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reserve is given: `amounts` if it is granted or degraded."""

    status: Status
    amounts: Mapping[str, Decimal] = field(default_factory=dict)
    refused_by: Standing | None = None
    warnings: tuple[Standing, ...] = ()
    degrade_to: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Limit:
    level: Level
    rule: Rule
    window: Span
    left: Decimal


def decided(levels: Sequence[Level], asked: Reserve, now: int) -> Verdict:
    """The verdict on a reserve against its levels, the widest first."""
    remaining: dict[str, Decimal] = {}
    others: list[_Limit] = []
    unknown: list[str] = []
    unseen: list[str] = []
    for level in levels:
        for rule in level.rules:
            if not asked.amounts.get(rule.meter):
                continue
            window = window_of(rule, now)
            if window is None:
                (unknown if rule.hard else unseen).append(_unknown(level, rule))
                continue
            used, held = level.taken(rule, window, now)
            left = rule.most - used - held
            if not rule.hard or rule.action is Action.DEGRADE:
                others.append(_Limit(level, rule, window, left))
            elif _lacks(left, _least(asked, rule.meter)):
                return _denied(level.standing(rule, window, now), _least(asked, rule.meter))
            else:
                remaining[rule.meter] = min(left, remaining.get(rule.meter, left))
    if unknown:
        return Verdict(Status.UNAVAILABLE, reason="; ".join(unknown))
    return _passed(_given(asked, remaining), others, unseen, now)


def decided_within(outer: Hold, asked: Reserve) -> Verdict:
    """The verdict on a reserve of an inner hold: it draws from the one around it."""
    remaining = {}
    for meter, amount in asked.amounts.items():
        if amount and meter not in outer.amounts:
            reason = f"hold {outer.hold_id} holds no {meter}, so nothing of it can be drawn from it"
            return Verdict(Status.REFUSED, reason=reason)
        remaining[meter] = room_within(outer, meter)
        least = _least(asked, meter)
        if _lacks(remaining[meter], least):
            left = amount_of(max(ZERO, remaining[meter]))
            reason = (
                f"no room for {amount_of(least)} {meter}: of the {amount_of(outer.amounts[meter])} of hold"
                f" {outer.hold_id} {left} are left"
            )
            return Verdict(Status.DENIED, reason=reason)
    return Verdict(Status.GRANTED, _given(asked, remaining))


def _passed(given: Mapping[str, Decimal], others: list[_Limit], unseen: list[str], now: int) -> Verdict:
    """No limit blocks it; those that only warn or degrade have their say."""
    lacking = [limit for limit in others if _lacks(limit.left, given[limit.rule.meter])]
    degrading = next((limit.rule for limit in lacking if limit.rule.hard), None)
    warnings = tuple(limit.level.standing(limit.rule, limit.window, now) for limit in lacking)
    return Verdict(
        Status.GRANTED if degrading is None else Status.DEGRADED,
        given,
        warnings=warnings,
        degrade_to="" if degrading is None else degrading.degrade_to,
        reason="; ".join([*map(explained, warnings), *unseen]),
    )


def _denied(standing: Standing, least: Decimal) -> Verdict:
    reason = f"no room for {amount_of(least)} {standing.meter}: {explained(standing)}"
    return Verdict(Status.DENIED, refused_by=standing, reason=reason)


def _least(asked: Reserve, meter: str) -> Decimal:
    """What must be given of a meter, or nothing is."""
    amount = asked.amounts[meter]
    return amount if asked.at_least is None else asked.at_least.get(meter, amount)


def _lacks(left: Decimal, amount: Decimal) -> bool:
    """Whether an amount has no room. Nothing always has."""
    return bool(amount) and left < amount


def _given(asked: Reserve, remaining: Mapping[str, Decimal]) -> dict[str, Decimal]:
    if asked.at_least is None:
        return dict(asked.amounts)
    return {
        meter: max(_least(asked, meter), min(amount, quarter(meter, remaining[meter])))
        if meter in remaining
        else amount
        for meter, amount in asked.amounts.items()
    }


def _unknown(level: Level, rule: Rule) -> str:
    return (
        f"what {level.key} has used of its {rule.meter} this {rule.window.value} is not known: the last facts of it"
        " say nothing of this window"
    )
