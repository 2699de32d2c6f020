"""A level in memory: what ClickHouse said of it, and running totals of what holds claim there.

The totals are derived: a restored machine has them from its holds. They are kept up to date by taking out what a hold
added (`Hold.counted`) and putting in what it adds now, so no question about a level ever looks at its holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Final

from taximeter_consumers.quota.machine.claims import left
from taximeter_consumers.quota.machine.holds import Hold, State, Sums
from taximeter_consumers.quota.machine.numbers import canonical
from taximeter_schemas.quota.answers import Standing
from taximeter_schemas.quota.limits import MINUTE, OnOutage, Rule, Span, Window
from taximeter_schemas.quota.meters import COST, ZERO
from taximeter_schemas.quota.subject import LevelKind

IDLE: Final = 60 * MINUTE
"""How long a level without rules, or one of a run, is kept when nobody names it (microseconds)."""
IDLE_WITH_RULES: Final = 48 * 60 * MINUTE
"""How long any other level is kept when nobody names it and no facts come (microseconds)."""


@dataclass(slots=True, eq=False)
class Level:
    """`as_of`, `complete_until`: of the facts that it has. `needs`: as of when facts must be that do without the holds
    which it has forgotten. `touched`: when it was last named, to the minute. `holds`: how many are remembered."""

    key: str
    as_of: int = -1
    complete_until: int = 0
    rules: tuple[Rule, ...] = ()
    usage: Mapping[str, Mapping[int, Decimal]] = field(default_factory=dict)
    lacking: Mapping[int, int] = field(default_factory=dict)
    moved_to: str = ""
    needs: int = -1
    touched: int = 0
    told: dict[str, int] = field(default_factory=dict)
    holds: int = 0
    held: Sums = field(default_factory=dict)
    leased: Sums = field(default_factory=dict)
    settled: Sums = field(default_factory=dict)
    minute: int = 0
    settled_in_minute: Sums = field(default_factory=dict)

    @property
    def is_run(self) -> bool:
        """Whether it is a run's."""
        return self.key.startswith(f"{LevelKind.RUN.value}/")

    @property
    def meters(self) -> frozenset[str]:
        """What its rules limit."""
        return frozenset(rule.meter for rule in self.rules)

    @property
    def forgotten_from(self) -> int:
        """When it may be dropped, unless something changes. What alerts were told is kept for their window."""
        if self.is_run:
            return self.touched + IDLE
        return max((self.touched + (IDLE_WITH_RULES if self.rules else IDLE), *self.told.values()))

    def touch(self, now: int) -> bool:
        """Notes that it was named; whether that changed its record (once a minute at most)."""
        if now - self.touched < MINUTE:
            return False
        self.touched = now
        return True

    def taken(self, rule: Rule, window: Span, now: int) -> tuple[Decimal, Decimal]:
        """What is used in the window by events and settled holds, and what other holds claim."""
        meter = rule.meter
        used = self.usage.get(meter, {}).get(window.starts_at, ZERO)
        if rule.window is not Window.MINUTE:
            used += self.settled.get(meter, ZERO)
        elif self.minute == now - now % MINUTE:
            used += self.settled_in_minute.get(meter, ZERO)
        return used, self.held.get(meter, ZERO)

    def standing(self, rule: Rule, window: Span, now: int) -> Standing:
        """How a rule stands in its window."""
        used, held = self.taken(rule, window, now)
        return Standing(
            level=self.key, limit_id=rule.limit_id, plan_id=rule.plan_id, meter=rule.meter, window=rule.window,
            hard=rule.hard, action=rule.action, on_outage=rule.on_outage, limit=canonical(rule.amount),
            added=canonical(rule.added), used=canonical(used), held=canonical(held),
            leased=canonical(self.leased.get(rule.meter, ZERO)),
            remaining=canonical(max(ZERO, rule.most - used - held)),
            lacking=self.lacking.get(window.starts_at, 0) if rule.meter == COST else 0, starts_at=window.starts_at,
            resets_at=None if rule.window is Window.RUN else window.ends_at,
        )  # fmt: skip

    def standings(self, now: int) -> list[Standing]:
        """How all its rules stand whose window is known."""
        found = ((rule, window_of(rule, now)) for rule in self.rules)
        return [self.standing(rule, window, now) for rule, window in found if window is not None]


def window_of(rule: Rule, now: int) -> Span | None:
    """`rule.window_at(now)`; a minute is made but once."""
    return _minute(now - now % MINUTE) if rule.window is Window.MINUTE else rule.window_at(now)


@lru_cache(maxsize=8)
def _minute(start: int) -> Span:
    return Span(starts_at=start, ends_at=start + MINUTE)


def on_outage(levels: Iterable[Level]) -> OnOutage:
    """Open only where no hard limit says closed."""
    hard = (rule for level in levels for rule in level.rules if rule.hard)
    return OnOutage.CLOSED if any(rule.on_outage is OnOutage.CLOSED for rule in hard) else OnOutage.OPEN


def count(levels: Mapping[str, Level], hold: Hold) -> None:
    """Bring what a top hold adds to the totals of its levels up to date."""
    uncount(levels, hold)
    if hold.done:
        return
    hold.counted_held = hold.state in (State.OPEN, State.EXPIRED)
    hold.minute = hold.closed_at - hold.closed_at % MINUTE
    for key in hold.levels:
        level = levels[key]
        if hold.is_open or level.complete_until < hold.quiet_at:
            claimed = hold.counted[key] = left(hold, key)
            for sums in _sums(level, hold):
                _add(sums, claimed, 1)


def uncount(levels: Mapping[str, Level], hold: Hold) -> None:
    """Take what a top hold adds out of the totals of its levels."""
    for key, claimed in hold.counted.items():
        for sums in _sums(levels[key], hold):
            _add(sums, claimed, -1)
    hold.counted = {}


def _sums(level: Level, hold: Hold) -> list[Sums]:
    """The totals to which a hold belongs."""
    if hold.counted_held:
        return [level.held, level.leased] if hold.kind == "lease" else [level.held]
    if hold.minute > level.minute:
        level.minute, level.settled_in_minute = hold.minute, {}
    # Closing times only rise: those of a minute before the latest count in no minute any more.
    return [level.settled, level.settled_in_minute] if hold.minute == level.minute else [level.settled]


def _add(sums: Sums, amounts: Mapping[str, Decimal], sign: int) -> None:
    for meter, amount in amounts.items():
        sums[meter] = sums.get(meter, ZERO) + (amount if sign > 0 else -amount)
