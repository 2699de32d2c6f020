"""A limit on events a second, and the word for who is told how far a replay is. Only `Pace` looks at the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

Meter = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opens a count of what is done: what it is called, and how many there are to do. Gives what is told the number."""


def wait_seconds(done: int, elapsed: float, rate: float) -> float:
    """How long to wait so that `done` events in all took at least their time at `rate` a second; 0: no limit."""
    return max(0.0, done / rate - elapsed) if rate > 0 else 0.0


class Pace:
    """Holds up whoever is too fast, a moment at a time, so that an interrupt is heard."""

    def __init__(self, rate: float = 0.0) -> None:
        self._rate = rate
        self._began = time.monotonic()

    def at(self, done: int) -> None:
        """Returns when `done` events in all are due."""
        while (left := wait_seconds(done, time.monotonic() - self._began, self._rate)) > 0:
            time.sleep(min(left, 0.5))
