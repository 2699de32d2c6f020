"""How many streams there may be: by whoever asks, and in all. Counts only; not for several threads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from taximeter_consumers.api.problems import RETRY_SECONDS, Problem


@dataclass(frozen=True)
class Door:
    """Through which a stream came: whose it is, how many of that are let in, and which key must hold meanwhile.

    `until` (Unix seconds) is when what opened it ends by itself."""

    name: str
    most: int
    key_id: str = ""
    until: float | None = None


class Admission:
    """Of one process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_door: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Streams that are open."""
        return self._by_door.total()

    def enter(self, door: Door) -> None:
        """One more. Raises the problems too-many-requests and unavailable."""
        if self._by_door[door.name] >= door.most:
            raise Problem(
                "too-many-requests",
                f"close a stream first: {door.most} at a time are open already; one stream can serve many widgets",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        if self.count >= self._most:
            raise Problem(
                "unavailable",
                "this process has as many streams as it takes; try again in a few seconds, or poll meanwhile",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        self._by_door[door.name] += 1

    def leave(self, door: Door) -> None:
        """One less."""
        self._by_door[door.name] -= 1
        if self._by_door[door.name] <= 0:
            del self._by_door[door.name]
