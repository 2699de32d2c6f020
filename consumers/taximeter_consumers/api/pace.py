"""How often a caller may do something: so many times a minute, counted in this process alone. Safe across threads."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MINUTE: Final = 60.0
_MOST_CALLERS: Final = 10_000


class Pace:
    """`clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float], most: int) -> None:
        self._clock = clock
        self._most = most
        self._seen: dict[str, deque[float]] = {}
        self._lock = Lock()

    def wait_of(self, caller: str) -> float:
        """0 where the caller may go on, which then counts; else after how many seconds it may."""
        now = self._clock()
        with self._lock:
            if len(self._seen) >= _MOST_CALLERS:
                self._seen = {name: times for name, times in self._seen.items() if times[-1] > now - _MINUTE}
            times = self._seen.setdefault(caller, deque(maxlen=self._most))
            if len(times) == self._most and times[0] > now - _MINUTE:
                return times[0] + _MINUTE - now
            times.append(now)
            return 0.0
