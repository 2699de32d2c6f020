"""The rules of counting, said naively: nothing is kept but what happened, and every question looks at all of it.

Written from the contract, not from the machine: it shares no code with it but the types of commands and limits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from taximeter_schemas.quota.commands import Confirm, Extend, Facts, Release, Reserve, Show

MINUTE = 60_000_000
HOUR = 60 * MINUTE


@dataclass
class H:
    """A hold and all that happened to it."""

    id: str
    made: int
    asked: Reserve
    levels: tuple[str, ...]
    amounts: dict[str, Decimal]
    start: int
    until: int
    degrade: str = ""
    state: str = "open"
    actual: dict[str, Decimal] = field(default_factory=dict)
    closed: int = 0
    quiet: int = 0
    done: bool = False


class Model:
    """One root."""

    def __init__(self) -> None:
        self.now, self.offset, self.floor = 0, -1, -1
        self.holds: dict[str, H] = {}
        self.facts: dict[str, list[tuple[int, Facts]]] = {}
        self.named: dict[str, int] = {}
        self.needs: dict[str, int] = {}
        self.told: dict[tuple[str, str], int] = {}
        self.waiting: list[tuple[int, Reserve | Show]] = []

    def kids(self, h: H) -> list[H]:
        return [other for other in self.holds.values() if other.asked.parent == h.id]

    def tree(self, h: H) -> list[H]:
        return [h, *(below for kid in self.kids(h) for below in self.tree(kid))]

    def top(self, h: H) -> H:
        return h if h.asked.parent is None else self.top(self.holds[h.asked.parent])

    def gross(self, h: H, m: str) -> Decimal:
        inner = sum((self.gross(kid, m) for kid in self.kids(h)), Decimal(0))
        own = {"released": {}, "settled": {**h.amounts, **h.actual}}.get(h.state, h.amounts)
        return max(inner, own.get(m, Decimal(0)))

    def seen(self, h: H, level: str, m: str) -> Decimal:
        said = [f.visible[h.id] for at, f in self.facts[level] if at > h.made and h.id in f.visible]
        own = said[-1].get(m, Decimal(0)) if said else Decimal(0)
        return own + sum(self.seen(kid, level, m) for kid in self.kids(h))

    def left(self, h: H, level: str, m: str) -> Decimal:
        inner = sum((self.left(kid, level, m) for kid in self.kids(h)), Decimal(0))
        return max(Decimal(0), self.gross(h, m) - self.seen(h, level, m), inner)

    def complete(self, level: str, h: H) -> bool:
        return max(f.complete_until for _, f in self.facts[level]) >= max(x.quiet for x in self.tree(h))

    def claims(self, level: str, m: str) -> list[tuple[H, Decimal]]:
        tops = [h for h in self.holds.values() if h.asked.parent is None and level in h.levels and not h.done]
        return [(h, self.left(h, level, m)) for h in tops if h.state == "open" or not self.complete(level, h)]

    def rules(self, level: str) -> Any:
        return self.facts[level][-1][1].levels[level].rules

    def standing(self, level: str, rule: Any) -> tuple[Decimal, Decimal, Decimal, Decimal] | None:
        """Used, held, leased, left (which may be below zero); None where the window is not known."""
        window = rule.window_at(self.now)
        if window is None:
            return None
        used = self.facts[level][-1][1].levels[level].usage.get(rule.meter, {}).get(window.starts_at, Decimal(0))
        held = leased = Decimal(0)
        for h, claim in self.claims(level, rule.meter):
            if h.state in ("open", "expired"):
                held += claim
                leased += claim if h.asked.kind == "lease" else 0
            elif rule.window != "minute" or h.closed >= window.starts_at:
                used += claim
        return used, held, leased, rule.amount + rule.added - used - held

    def standings(self) -> dict[tuple[str, str], tuple[Decimal, ...] | None]:
        return {(level, r.limit_id): self.standing(level, r) for level in self.facts for r in self.rules(level)}

    def apply(self, command: Any, at: int, offset: int) -> list[tuple[Any, ...]]:
        minute, self.now, self.offset = self.now // MINUTE, max(self.now, at), offset
        for h in sorted(self.holds.values(), key=lambda h: h.until):
            if h.state == "open" and h.until <= self.now:
                self.close(h, "expired", h.until, h.until + 5 * MINUTE)
        said = self.sweep() if minute != self.now // MINUTE else []
        if isinstance(command, Facts):
            return said + self.learn(command)
        if isinstance(command, Reserve | Show):
            if isinstance(command, Reserve) and command.hold_id in self.holds and not command.dry_run:
                return [*said, self.again(command.hold_id)]
            if self.waiting or self.lacks(command):
                self.waiting.append((self.now, command))
                self.name(command.subject.levels)
                return said
            return [*said, self.decide(command)]
        h = self.holds.get(command.hold_id)
        if h is None:
            if isinstance(command, Release) and (gone := self.waiting_for(command.hold_id)):
                self.waiting = [one for one in self.waiting if one not in gone]
                return [*said, *[("unavailable", command.hold_id)] * len(gone), ("released", command.hold_id, {}, 0)]
            return [*said, ("unknown_hold", command.hold_id)]
        if isinstance(command, Extend):
            if h.state != "open":
                return [*said, ("refused", h.id)]
            most = self.holds[h.asked.parent].until if h.asked.parent else 2**62
            h.until = max(h.until, min(most, self.now + command.ttl_seconds * 1_000_000))
            return [*said, ("extended", h.id, h.until)]
        if h.state != "settled" and (isinstance(command, Confirm) or h.state != "released"):
            h.actual = dict(command.actual) if isinstance(command, Confirm) else {}
            self.close(h, "released" if isinstance(command, Release) else "settled", self.now, self.now + MINUTE)
            return [*said, self.again(h.id), *self.alerts(h.levels)]
        return [*said, self.again(h.id)]

    def waiting_for(self, hold_id: str) -> list[tuple[int, Reserve | Show]]:
        return [(at, c) for at, c in self.waiting if isinstance(c, Reserve) and c.hold_id == hold_id and not c.dry_run]

    def close(self, h: H, state: str, at: int, quiet: int) -> None:
        for inner in self.tree(h)[1:]:
            if inner.state == "open":
                inner.state, inner.closed = state, min(at, inner.until) if state == "expired" else at
        h.state, h.closed, h.quiet = state, at, max(h.quiet, quiet)
        top = self.top(h)
        if top.state != "open":
            top.closed = top.closed if top is h else max(top.closed, self.now)
            top.done = False
            self.finish([top])

    def finish(self, tops: list[H]) -> None:
        for h in tops:
            if h.state == "open" or h.done or h.asked.parent is not None:
                continue
            meters = {m for x in self.tree(h) for m in (*x.amounts, *x.actual)}
            meters = {m for m in meters if self.gross(h, m) or h.state != "released"}
            h.done = all(
                self.complete(level, h)
                or (h.state != "expired" and not any(self.left(h, level, m) for m in meters))
                or (
                    self.now >= max(x.quiet for x in self.tree(h)) and not {r.meter for r in self.rules(level)} & meters
                )
                for level in h.levels
            )

    def sweep(self) -> list[tuple[Any, ...]]:
        self.finish(list(self.holds.values()))
        for h in [h for h in self.holds.values() if h.asked.parent is None and h.done]:
            if self.now >= h.closed + 15 * MINUTE:
                for level in h.levels:
                    self.named[level], self.needs[level] = self.now, self.facts[level][-1][1].as_of
                for gone in self.tree(h):
                    del self.holds[gone.id]
        self.told = {one: end for one, end in self.told.items() if end > self.now}
        for level in list(self.facts):
            is_run = level.startswith("run/")
            until = self.named[level] + (48 * HOUR if self.rules(level) and not is_run else HOUR)
            until = max([until, *(end for (of, _), end in self.told.items() if of == level and not is_run)])
            if self.now >= until and not any(level in h.levels for h in self.holds.values()):
                self.floor = max(self.floor, self.needs.pop(level, -1))
                del self.facts[level]
                self.told = {one: end for one, end in self.told.items() if one[0] != level}
        return self.drain(())

    def name(self, levels: Any) -> None:
        for level in levels:
            if level in self.facts and self.now - self.named[level] >= MINUTE:
                self.named[level] = self.now

    def learn(self, facts: Facts) -> list[tuple[Any, ...]]:
        fresh = []
        for level, new in facts.levels.items():
            old = self.facts.get(level)
            if (facts.as_of <= old[-1][1].as_of) if old else (facts.as_of < self.floor):
                continue
            if not old:
                self.named[level] = self.now
            else:
                was = old[-1][1].levels[level]
                if (was.rules, was.usage) != (new.rules, new.usage) or (new.rules and level[:4] != "run/"):
                    self.name([level])
            self.facts.setdefault(level, []).append((self.offset, facts))
            fresh.append(level)
        if fresh:
            self.finish(list(self.holds.values()))
        return [*self.alerts(fresh), *self.drain(facts.unavailable)]

    def alerts(self, levels: Any) -> list[tuple[Any, ...]]:
        said = []
        for level, rule in [(key, rule) for key in levels for rule in self.rules(key)]:
            standing, window = self.standing(level, rule), rule.window_at(self.now)
            for threshold in rule.thresholds if standing is not None else ():
                told = (level, f"{rule.limit_id}|{window.starts_at}|{threshold}")
                if standing[0] > 0 and standing[0] * 100 >= threshold * rule.most and told not in self.told:
                    self.told[told] = window.ends_at
                    said.append(("alert", "|".join(told)))
        return said

    def lacks(self, command: Reserve | Show) -> list[str]:
        if isinstance(command, Reserve) and command.parent:
            return []
        return [level for level in command.subject.levels if level not in self.facts]

    def drain(self, unavailable: Any) -> list[tuple[Any, ...]]:
        said = []
        while self.waiting:
            at, command = self.waiting[0]
            if self.now - at > command.wait_ms * 1000 or set(self.lacks(command)) & set(unavailable):
                said.append(("unavailable", getattr(command, "hold_id", "")))
            elif self.lacks(command):
                break
            else:
                said.append(self.decide(command))
            self.waiting.pop(0)
        return said

    def again(self, hold_id: str) -> tuple[Any, ...]:
        h = self.holds[hold_id]
        status = {"open": "degraded" if h.degrade else "granted", "expired": "released"}.get(h.state, h.state)
        return (status, h.id, h.amounts, h.until)

    def decide(self, c: Reserve | Show) -> tuple[Any, ...]:
        if isinstance(c, Show):
            self.name(c.subject.levels)
            return ("shown",)
        if c.hold_id in self.holds and not c.dry_run:
            return self.again(c.hold_id)
        return self.inner(c) if c.parent else self.outer(c)

    def inner(self, c: Reserve) -> tuple[Any, ...]:
        parent = self.holds.get(c.parent or "")
        self.name(parent.levels if parent else c.subject.levels)
        if parent is None or parent.state != "open":
            return ("refused", c.hold_id)
        left = {}
        for m, amount in c.amounts.items():
            if amount and m not in parent.amounts:
                return ("refused", c.hold_id)
            inner = sum((self.gross(kid, m) for kid in self.kids(parent)), Decimal(0))
            to_come = [sum(self.left(kid, level, m) for kid in self.kids(parent)) for level in parent.levels]
            taken = [self.seen(parent, level, m) + t for level, t in zip(parent.levels, to_come, strict=True)]
            left[m] = parent.amounts.get(m, Decimal(0)) - max(inner, *taken)
            if least(c, m) and left[m] < least(c, m):
                return ("denied", c.hold_id)
        return self.grant(c, "granted", given(c, left), parent)

    def outer(self, c: Reserve) -> tuple[Any, ...]:
        self.name(c.subject.levels)
        asked = [(lv, r) for lv in c.subject.levels for r in self.rules(lv) if c.amounts.get(r.meter)]
        left: dict[str, Decimal] = {}
        for level, rule in asked:
            standing = self.standing(level, rule)
            if standing and rule.hard and rule.action == "block":
                if least(c, rule.meter) and standing[3] < least(c, rule.meter):
                    return ("denied", c.hold_id, level, rule.limit_id, *standing[:3], max(Decimal(0), standing[3]))
                left[rule.meter] = min(standing[3], left.get(rule.meter, standing[3]))
        if any(rule.hard and self.standing(level, rule) is None for level, rule in asked):
            return ("unavailable", c.hold_id)
        amounts = given(c, left)
        degrade = ""
        for level, rule in asked:
            standing = self.standing(level, rule)
            lacking = standing and 0 < amounts[rule.meter] > standing[3]
            if lacking and rule.hard and rule.action == "degrade":
                degrade = degrade or rule.degrade_to
        return self.grant(c, "degraded" if degrade else "granted", amounts, None, degrade)

    def grant(
        self, c: Reserve, status: str, amounts: dict[str, Decimal], parent: H | None, degrade: str = ""
    ) -> tuple[Any, ...]:
        if c.dry_run:
            return (status, c.hold_id, amounts, 0)
        until = min(self.now + c.ttl_seconds * 1_000_000, parent.until if parent else 2**62)
        levels = parent.levels if parent else c.subject.levels
        self.holds[c.hold_id] = H(c.hold_id, self.offset, c, levels, amounts, self.now, until, degrade)
        return (status, c.hold_id, amounts, until)


def least(c: Reserve, m: str) -> Decimal:
    """What must be given at least."""
    return c.amounts[m] if c.at_least is None else c.at_least.get(m, c.amounts[m])


def given(c: Reserve, left: dict[str, Decimal]) -> dict[str, Decimal]:
    """What is given where so much is left."""
    if c.at_least is None:
        return dict(c.amounts)
    quarter = {m: (max(x, Decimal(0)) / 4).quantize(Decimal(1), ROUND_FLOOR) for m, x in left.items()}
    return {m: max(least(c, m), min(a, quarter[m])) if m in left else a for m, a in c.amounts.items()}
