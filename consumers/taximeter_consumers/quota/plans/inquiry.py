"""What must be asked about a root, and the facts that the answers make. Pure.

A window of an organisation is the sum of its accounts over those parts of the window in which they belonged to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taximeter_consumers.quota.plans.named_level import Level, account, level_of
from taximeter_consumers.quota.plans.windows import APART, minutes
from taximeter_consumers.quota.truth.usage import LACKING, Part, Values, sums_of
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.commands import LevelFacts
from taximeter_schemas.quota.limits import FOR_EVER, Rule, Span, Window
from taximeter_schemas.quota.subject import LevelKind

if TYPE_CHECKING:
    from taximeter_consumers.quota.plans.directory import Directory
    from taximeter_consumers.quota.truth.runs import Run

_MOST = 2**62


@dataclass(frozen=True)
class Inquiry:
    """What is asked about one root at one moment. `rules` by key of level; `broken`: levels whose settings make no
    rules; `until` is when the rules must be made anew (Unix microseconds)."""

    root: Level
    now: int
    rules: Mapping[str, tuple[Rule, ...]]
    broken: tuple[str, ...]
    moved_to: Mapping[str, str]
    until: int

    @property
    def meters(self) -> set[str]:
        """All that any rule counts."""
        return {rule.meter for rules in self.rules.values() for rule in rules}

    def differs(self, other: Inquiry) -> bool:
        """Whether other facts follow though nothing was used."""
        return (self.rules, self.broken, self.moved_to) != (other.rules, other.broken, other.moved_to)

    def parts(self, directory: Directory) -> Iterator[Part]:
        """The use that must be read; runs aside."""
        for key, rules in self.rules.items():
            level = level_of(key) if rules else None
            if level is not None and level.kind is not LevelKind.RUN:
                for span in {span for rule in rules for span in spans_of(rule, self.now)}:
                    yield from parts_of(level, span, directory)

    @property
    def runs(self) -> list[Run]:
        """The runs whose use must be read."""
        named = (level_of(key) for key, rules in self.rules.items() if rules)
        return [(level.account_id, level.name) for level in named if level.kind is LevelKind.RUN]

    def accounts(self, directory: Directory) -> set[str]:
        """Whose events can show something of the root's transactions."""
        if self.root.kind is LevelKind.ORGANISATION:
            return {stay.account_id for stay in directory.stays(self.root.name)}
        return {self.root.account_id}

    def facts(
        self, key: str, directory: Directory, used: Mapping[Part, Values], runs: Mapping[Run, Values]
    ) -> LevelFacts:
        """What the answers say of one level."""
        rules = self.rules[key]
        if not rules:
            return LevelFacts()
        level = level_of(key)
        usage: defaultdict[str, dict[int, object]] = defaultdict(dict)
        lacking: dict[int, int] = {}
        for rule in rules:
            for span in spans_of(rule, self.now):
                values = _values(level, span, directory, used, runs)
                if rule.meter in values:
                    usage[rule.meter][span.starts_at] = values[rule.meter]
                if LACKING in values:
                    lacking[span.starts_at] = int(values[LACKING])
        return LevelFacts.model_validate({"rules": rules, "usage": usage, "lacking": lacking})


def inquiry(directory: Directory, root: Level, levels: Iterable[str], now: int) -> Inquiry:
    """What to ask about some levels of a root. A key that names no level is one without rules."""
    rules: dict[str, tuple[Rule, ...]] = {}
    moved: dict[str, str] = {}
    broken: list[str] = []
    accounts = {root} if root.kind is LevelKind.ACCOUNT else set()
    for key in sorted(set(levels)):
        try:
            level = level_of(key)
        except ValueError:
            rules[key] = ()
            continue
        accounts |= {account(level.account_id)} if level.account_id else set()
        try:
            rules[key] = directory.rules(level, now)
        except Misconfigured:
            broken.append(key)
    for one in accounts:
        right = directory.root_of(one.account_id, now)
        if right != root:
            moved[one.account_id] = right.key
    until = min(
        [directory.next_change(now), *(rules_until(rule, now) for found in rules.values() for rule in found)],
        default=_MOST,
    )
    return Inquiry(root, now, rules, tuple(broken), moved, until)


def spans_of(rule: Rule, now: int) -> tuple[Span, ...]:
    """The windows of a rule whose use is told: those that the rule knows, or the minutes about now."""
    if rule.window is Window.MINUTE:
        return minutes(now)
    return (FOR_EVER,) if rule.window is Window.RUN else rule.spans


def rules_until(rule: Rule, now: int) -> int:
    """When a rule must be made anew: its window is over, or need no longer tell of the one before."""
    found = rule.window_at(now)
    if found is None or not rule.spans:
        return _MOST
    return found.ends_at if found == rule.spans[0] else found.starts_at + APART


def parts_of(level: Level, span: Span, directory: Directory) -> Iterator[Part]:
    """The use of accounts, projects, users and keys that makes up a window of a level."""
    if level.kind is not LevelKind.ORGANISATION:
        yield Part(level, span)
        return
    for stay in directory.stays(level.name):
        begin, end = max(span.starts_at, stay.span.starts_at), min(span.ends_at, stay.span.ends_at)
        if begin < end:
            yield Part(account(stay.account_id), Span(starts_at=begin, ends_at=end))


def _values(
    level: Level, span: Span, directory: Directory, used: Mapping[Part, Values], runs: Mapping[Run, Values]
) -> Values:
    if level.kind is LevelKind.RUN:
        return runs.get((level.account_id, level.name), {})
    return sums_of([used[part] for part in parts_of(level, span, directory) if part in used])
