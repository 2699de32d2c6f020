"""A root in memory: its levels, its holds, and commands that wait for facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from taximeter_consumers.quota.machine.holds import Hold
from taximeter_consumers.quota.machine.levels import Level
from taximeter_schemas.quota.commands import Reserve, Show


@dataclass(frozen=True, slots=True)
class Parked:
    """A command that may have to wait for facts, since `at` (Unix microseconds); `offset` is its own. `levels` are the
    keys of its subject's, written out once."""

    command: Reserve | Show
    at: int
    offset: int
    levels: tuple[str, ...]

    @property
    def account(self) -> str:
        """The level of its account."""
        return self.levels[1 if self.command.subject.organisation_id else 0]

    def is_late(self, now: int) -> bool:
        """Whether its caller has given up."""
        return now - self.at > self.command.wait_ms * 1000


@dataclass(slots=True, eq=False)
class Root:
    """Everything that is decided together. `closing`: tops that are over but still claim; `over`: those that are only
    remembered; `awaited`: levels whose facts were asked for. These three are derived from the rest."""

    name: str
    levels: dict[str, Level] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    parked: dict[int, Parked] = field(default_factory=dict)
    closing: dict[str, Hold] = field(default_factory=dict)
    over: dict[str, Hold] = field(default_factory=dict)
    awaited: set[str] = field(default_factory=set)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of it."""
        return not (self.levels or self.holds or self.parked)

    def unknown(self, asked: Parked) -> list[str]:
        """Levels of its subject of which there are no facts."""
        return [key for key in asked.levels if key not in self.levels]

    def levels_of(self, keys: Iterable[str]) -> list[Level]:
        """The levels of some keys, in their order, as far as they are known."""
        return [self.levels[key] for key in keys if key in self.levels]

    def moved_to(self, asked: Parked) -> str:
        """Where its account is decided by now; empty: here."""
        level = self.levels.get(asked.account)
        return level.moved_to if level is not None else ""
