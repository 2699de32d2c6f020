"""A tiny simulated truth: events happen under holds, reach Kafka sooner or later, and are visible later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from taximeter_schemas.quota.commands import Facts, LevelFacts
from taximeter_schemas.quota.limits import MINUTE, Rule, Window


@dataclass(frozen=True)
class Event:
    """What happened. `arrives_at`: in Kafka; None: never. Some carry no transaction."""

    at: int
    hold_id: str
    has_transaction: bool
    levels: tuple[str, ...]
    amounts: dict[str, Decimal]
    arrives_at: int | None


@dataclass
class Nature:
    """All events, and the rules by level. What usage once had, it has ever after: `had_until` says how much that is."""

    rules: dict[str, tuple[Rule, ...]]
    events: list[Event] = field(default_factory=list)
    had_until: int = 0

    def used(self, level: str, meter: str, window: Window, start: int, end: int, until: int | None = None) -> Decimal:
        """Of a level in a window: by all that happened (and ever arrives), or by what arrived before `until`."""
        told = [event for event in self.events if level in event.levels and event.arrives_at is not None]
        told = [event for event in told if until is None or (event.arrives_at or 0) < until]
        if window is not Window.RUN:
            told = [event for event in told if start <= event.at < end]
        return sum((event.amounts.get(meter, Decimal(0)) for event in told), Decimal(0))

    def by(self, holds: Iterable[str], meter: str) -> Decimal:
        """What happened under some holds, whether it ever arrives or not."""
        names = set(holds)
        told = (event.amounts.get(meter, Decimal(0)) for event in self.events if event.hold_id in names)
        return sum(told, Decimal(0))

    def facts(
        self, root: str, levels: Iterable[str], transactions: Iterable[str], now: int, lag: tuple[int, int]
    ) -> Facts:
        """What ClickHouse would say: transactions show what Kafka had `lag[0]` ago, usage (read last) at least that."""
        seen_until, used_until = now - lag[0], max(self.had_until, now - min(lag))
        self.had_until = used_until
        visible: dict[str, dict[str, Decimal]] = {name: {} for name in transactions}
        for event in self.events:
            if event.has_transaction and event.hold_id in visible and (event.arrives_at or now) < seen_until:
                sums = visible[event.hold_id]
                for meter, amount in event.amounts.items():
                    sums[meter] = sums.get(meter, Decimal(0)) + amount
        known = {level: self._level(level, now, used_until) for level in levels}
        return Facts(root=root, as_of=now, complete_until=seen_until, levels=known, visible=visible)

    def _level(self, level: str, now: int, until: int) -> LevelFacts:
        rules = self.rules.get(level, ())
        usage: dict[str, dict[int, Decimal]] = {}
        for rule in rules:
            minute = now - now % MINUTE
            spans = [(one.starts_at, one.ends_at) for one in rule.spans]
            if rule.window is Window.MINUTE:
                spans = [(minute, minute + MINUTE)]
            elif rule.window is Window.RUN:
                spans = [(0, 2**62)]
            for start, end in spans:
                used = self.used(level, rule.meter, rule.window, start, end, until)
                if used:
                    usage.setdefault(rule.meter, {})[start] = used
        return LevelFacts(rules=rules, usage=usage)
