"""One record's turn: the root it is about, the time, and what of the state it changes."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final

from taximeter_consumers.quota.machine.holds import Hold
from taximeter_consumers.quota.machine.levels import Level
from taximeter_consumers.quota.machine.roots import Root

LEVEL: Final = "level"
HOLD: Final = "hold"
PARKED: Final = "parked"

Key = tuple[str, str, str]
"""Kind, root and name of a record of the state."""

Expiry = tuple[int, int, str, str]
"""When a hold expires, the offset that made it, its root, its id. One that is out of date does nothing."""


@dataclass(frozen=True, slots=True)
class Turn:
    """`now` is the time of the log (Unix microseconds). `dirty` has the records to write, each once, in order;
    `expiries` is a heap."""

    root: Root
    now: int
    dirty: dict[Key, None]
    expiries: list[Expiry]

    def watch(self, hold: Hold) -> None:
        """See to it that it expires."""
        if hold.is_open:
            heapq.heappush(self.expiries, (hold.expires_at, hold.offset, self.root.name, hold.hold_id))

    def changed_hold(self, *holds: Hold) -> None:
        """Their records are to be written anew, or deleted."""
        for hold in holds:
            self.dirty[HOLD, self.root.name, hold.hold_id] = None

    def changed_level(self, level: Level) -> None:
        """Its record is to be written anew, or deleted."""
        self.dirty[LEVEL, self.root.name, level.key] = None

    def changed_parked(self, offset: int) -> None:
        """Its record is to be written, or deleted."""
        self.dirty[PARKED, self.root.name, str(offset)] = None

    def name(self, levels: list[Level]) -> None:
        """Notes that a command named these levels."""
        for level in levels:
            if level.touch(self.now):
                self.changed_level(level)
