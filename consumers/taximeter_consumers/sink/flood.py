"""When bad records are no longer accidents: the gate between a partition and the dead letters.

A few bad records are poison: they are set aside, and the rest goes on. When more than a set share of a partition's
last records is bad, something upstream is broken, and a dead-letter topic full of good money is no place for it: the
partition stops, says so, and keeps its place in the log until an operator has looked.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Flood:
    """What stopped a partition: `bad` of its last `records` records."""

    bad: int
    records: int

    def __str__(self) -> str:
        """For operators."""
        return f"{self.bad} of the last {self.records} records cannot be stored"


@dataclass
class _Window:
    batches: deque[tuple[int, int]] = field(default_factory=deque)
    records: int = 0
    bad: int = 0


class FloodGate:
    """Counts each partition's records and bad ones over its last `window` records. May be shared by threads.

    A partition that has had fewer records than a window is judged as if the rest had been good, so that the first bad
    record of a quiet topic stops nothing.
    """

    def __init__(self, rate: float, window: int) -> None:
        self._rate = rate
        self._window = window
        self._windows: dict[int, _Window] = {}
        self._lock = threading.Lock()

    def passes(self, partition: int, records: int, bad: int) -> Flood | None:
        """Counts a batch; the flood where it is one too many, None where its bad records may be set aside."""
        with self._lock:
            window = self._windows.setdefault(partition, _Window())
            window.batches.append((records, bad))
            window.records += records
            window.bad += bad
            while window.batches and window.records - window.batches[0][0] >= self._window:
                old, old_bad = window.batches.popleft()
                window.records -= old
                window.bad -= old_bad
            if bad and window.bad > self._rate * max(window.records, self._window):
                return Flood(window.bad, window.records)
            return None
