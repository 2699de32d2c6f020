"""The directory: which rules count at a level now, by the dated rows of plans, limits, assignments and add-ons. Pure.

A level takes its limits from up to three places, the nearest first: the plan assigned to itself; the limits of each
level of its kind in its account's plan; those in the plan of its account's organisation. For one meter and window the
nearest place that says anything counts, also where it says that there is no limit. An account to which nothing was ever
assigned has the plan that its billing terms name, if there is a quota plan of that name.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Final, TypeVar

from taximeter_consumers.billing.amounts import total
from taximeter_consumers.billing.terms import Terms, in_force
from taximeter_consumers.quota.plans.assignments import AddOn, Assignment, Membership
from taximeter_consumers.quota.plans.named_level import Level, account, organisation
from taximeter_consumers.quota.plans.plans import Limit, QuotaPlan, multiplied
from taximeter_consumers.quota.plans.windows import UTC_CALENDAR, Calendar, micros_of, moment_of
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.limits import Rule, Span, Window
from taximeter_schemas.quota.subject import LevelKind

_FOR_EVER: Final = 2**62
R = TypeVar("R")
K = TypeVar("K")


@dataclass(frozen=True)
class Rows:
    """All rows of settings, as they were read, in any order."""

    plans: Sequence[QuotaPlan] = ()
    limits: Sequence[Limit] = ()
    assignments: Sequence[Assignment] = ()
    add_ons: Sequence[AddOn] = ()
    memberships: Sequence[Membership] = ()
    terms: Mapping[str, Sequence[Terms]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stay:
    """An account belongs to an organisation over `span`."""

    account_id: str
    span: Span


class Directory:
    """Answers from the rows, by the time that is passed in (Unix microseconds). Raises Misconfigured for terms that
    make no calendar."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._plans = _by(rows.plans, lambda row: row.plan_id)
        self._limits = _by(rows.limits, lambda row: row.plan_id)
        self._assignments = _by(rows.assignments, lambda row: row.level)
        self._add_ons = _by(rows.add_ons, lambda row: row.level)
        self._memberships = _by(rows.memberships, lambda row: row.account_id)

    def rules(self, level: Level, now: int) -> tuple[Rule, ...]:
        """What counts at a level, in a stable order."""
        chosen: dict[str, list[tuple[Limit, Decimal]]] = {}
        for plan_id, each in self._places(level, now):
            nearer = set(chosen)
            for limit, multiplier in self._limits_of(plan_id, each, now):
                if limit.kind not in nearer:
                    chosen.setdefault(limit.kind, []).append((limit, multiplier))
        made = [self._rule(level, *one, now) for limits in chosen.values() for one in limits if one[0].limits]
        return tuple(sorted(made, key=lambda rule: (rule.meter, rule.window, rule.amount, rule.limit_id)))

    def root_of(self, account_id: str, now: int) -> Level:
        """What an account is decided together with: its organisation, else itself."""
        held = in_force(self._memberships.get(account_id, ()), moment_of(now))
        return organisation(held.organisation_id) if held and held.organisation_id else account(account_id)

    def stays(self, organisation_id: str) -> tuple[Stay, ...]:
        """Which accounts belong or belonged to an organisation, and when."""
        return self._stays.get(organisation_id, ())

    def organisations_of(self, account_id: str) -> set[Level]:
        """The organisations to which an account belongs, belonged or will belong."""
        rows = self._memberships.get(account_id, ())
        return {organisation(row.organisation_id) for row in rows if row.organisation_id}

    def calendar(self, level: Level) -> Calendar:
        """How a level divides time: as its account does; an organisation by UTC."""
        if level.kind is LevelKind.ORGANISATION:
            return UTC_CALENDAR
        return Calendar(tuple(self._rows.terms.get(level.account_id, ())))

    def assigned(self, now: int) -> dict[Level, set[Level]]:
        """Roots to the levels that have a plan of their own now, by assignment or by billing terms."""
        found: defaultdict[Level, set[Level]] = defaultdict(set)
        billed = {account(name) for name in self._rows.terms}
        for level in self._assignments.keys() | billed:
            if self._has_plan(level, now):
                root = level if level.kind is LevelKind.ORGANISATION else self.root_of(level.account_id, now)
                found[root].add(level)
        return dict(found)

    def next_change(self, now: int) -> int:
        """The first instant after `now` at which any row begins or ends to count."""
        place = bisect_right(self._instants, now)
        return self._instants[place] if place < len(self._instants) else _FOR_EVER

    def add_ons(self) -> dict[str, AddOn]:
        """All add-ons that there ever were, by id."""
        return {row.add_on_id: row for row in self._rows.add_ons}

    def plan_ids(self) -> tuple[str, ...]:
        """All plans that there ever were, by name."""
        return tuple(sorted(self._plans))

    def plan_at(self, plan_id: str, now: int) -> tuple[QuotaPlan, tuple[Limit, ...]] | None:
        """A plan as it is, with its limits, those that limit nothing included; None before it begins."""
        plan = in_force(self._plans.get(plan_id, ()), moment_of(now))
        if plan is None:
            return None
        by_id = _by(self._limits.get(plan_id, ()), lambda row: row.limit_id)
        held = (in_force(rows, moment_of(now)) for rows in by_id.values())
        return plan, tuple(sorted((row for row in held if row), key=lambda row: row.limit_id))

    def _places(self, level: Level, now: int) -> Iterator[tuple[str, str]]:
        """The plans from which a level may have limits, the nearest first, and which of their limits: those of `each`
        kind of level, or of the plan's own."""
        yield self._plan_of(level, now), ""
        if level.kind is LevelKind.ORGANISATION:
            return
        if level.kind is not LevelKind.ACCOUNT:
            yield self._plan_of(account(level.account_id), now), level.kind.value
        root = self.root_of(level.account_id, now)
        if root.kind is LevelKind.ORGANISATION:
            yield self._plan_of(root, now), level.kind.value

    def _plan_of(self, level: Level, now: int) -> str:
        """The plan that a level has of its own; empty: none."""
        held = in_force(self._assignments.get(level, ()), moment_of(now))
        if held is not None:
            return held.plan_id
        if level.kind is not LevelKind.ACCOUNT or level.account_id not in self._rows.terms:
            return ""
        billed = self.calendar(level).plan_at(now)
        return billed if billed in self._plans else ""

    def _has_plan(self, level: Level, now: int) -> bool:
        try:
            return bool(self._plan_of(level, now))
        except Misconfigured:
            # Whoever asks for its rules is told.
            return True

    def _limits_of(self, plan_id: str, each: str, now: int) -> Iterator[tuple[Limit, Decimal]]:
        found = self.plan_at(plan_id, now)
        if found is not None:
            yield from ((limit, found[0].multiplier) for limit in found[1] if limit.level == each)

    def _rule(self, level: Level, limit: Limit, multiplier: Decimal, now: int) -> Rule:
        calendar, amount = self.calendar(level), limit.amount or Decimal(0)
        spans = {Window.DAY: calendar.days, Window.MONTH: calendar.months}.get(limit.window)
        held = (
            row for row in self._add_ons.get(level, ()) if row.meter == limit.meter and row.holds_at(moment_of(now))
        )
        return Rule(
            limit_id=limit.named,
            meter=limit.meter,
            window=limit.window,
            amount=multiplied(amount, multiplier),
            added=total(row.amount for row in held) if limit.window is Window.MONTH else Decimal(0),
            hard=limit.hard,
            action=limit.action,
            degrade_to=limit.degrade_to,
            on_outage=limit.on_outage,
            thresholds=limit.thresholds,
            plan_id=limit.plan_id,
            spans=spans(now) if spans else (),
        )

    @cached_property
    def _instants(self) -> list[int]:
        """When any row begins or ends to count, in order."""
        rows = self._rows
        instants = [row.valid_from for row in rows.plans]
        instants += [row.valid_from for row in rows.limits]
        instants += [row.valid_from for row in rows.assignments]
        instants += [row.valid_from for row in rows.memberships]
        instants += [row.valid_from for terms in rows.terms.values() for row in terms]
        instants += [row.starts_at for row in rows.add_ons]
        instants += [row.ends_at for row in rows.add_ons if row.ends_at is not None]
        return sorted({micros_of(instant) for instant in instants})

    @cached_property
    def _stays(self) -> dict[str, tuple[Stay, ...]]:
        found: defaultdict[str, list[Stay]] = defaultdict(list)
        for account_id, rows in self._memberships.items():
            ordered = sorted(rows, key=lambda row: row.valid_from)
            ends = [*(micros_of(row.valid_from) for row in ordered[1:]), _FOR_EVER]
            for row, end in zip(ordered, ends, strict=True):
                start = micros_of(row.valid_from)
                if row.organisation_id and start < end:
                    found[row.organisation_id].append(Stay(account_id, Span(starts_at=start, ends_at=end)))
        return {
            name: tuple(sorted(stays, key=lambda stay: (stay.account_id, stay.span.starts_at)))
            for name, stays in found.items()
        }


def _by(rows: Iterable[R], key: Callable[[R], K]) -> dict[K, list[R]]:
    sorted_out: defaultdict[K, list[R]] = defaultdict(list)
    for row in rows:
        sorted_out[key(row)].append(row)
    return dict(sorted_out)
