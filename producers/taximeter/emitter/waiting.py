"""The waiting room between the hooks and the emitter's thread: bounded, and counted event by event.

`held` counts an event from its acceptance until it is settled (stored, or dropped for good), so the bound is the bound
on memory. `offer` is the one method that the host's threads call. The lock may be entered again, because a signal
handler may end a node while its own thread ends one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

from taximeter.emission import Emission


@dataclass(slots=True, eq=False)
class _Flush:
    target: int  # the last number that it waits for
    left: int  # how many of those are not settled


class WaitingRoom:
    """Emissions in the order of their acceptance; the n-th accepted has number n."""

    def __init__(self, capacity: int, block_seconds: float) -> None:
        self._capacity = capacity
        self._block_seconds = block_seconds
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._flushed = threading.Condition(self._lock)
        self._flushes: list[_Flush] = []
        self._waiting: deque[Emission] = deque()
        self._closed = False
        # Conditions on the one lock that may be entered again: an Event's own lock may not.
        self._work = threading.Condition(self._lock)
        self._stirred = False
        self._resting = False
        self.accepted = 0
        self.taken = 0
        self.held = 0
        self.dropped: Counter[str] = Counter()

    def offer(self, emissions: list[Emission]) -> None:
        """Accept each emission, or drop and count it. Waits for room at most the bound, once for all of them."""
        with self._lock:
            deadline = time.monotonic() + self._block_seconds if self._block_seconds else 0.0
            for emission in emissions:
                if not self._closed and self.held >= self._capacity and deadline:
                    self._stir()
                    self._room.wait_for(self._has_room, max(0.0, deadline - time.monotonic()))
                if self._closed or self.held >= self._capacity:
                    self.dropped["closed" if self._closed else "full"] += 1
                    continue
                self._waiting.append(emission)
                self.accepted += 1
                self.held += 1
            self._stir()

    def _has_room(self) -> bool:
        return self._closed or self.held < self._capacity

    def _stir(self) -> None:
        self._stirred = True
        if self._resting:
            self._work.notify()

    def rest(self, seconds: float) -> None:
        """Wait, on the emitter's thread, until something happens or the time is over."""
        with self._lock:
            self._resting = True
            self._work.wait_for(lambda: self._stirred, seconds)
            self._resting = self._stirred = False

    def take(self, limit: int) -> list[tuple[int, Emission]]:
        """The next emissions with their numbers. They stay held."""
        with self._lock:
            count = min(limit, len(self._waiting))
            taken = [(self.taken + 1 + place, self._waiting.popleft()) for place in range(count)]
            self.taken += count
            return taken

    def settle(self, number: int, reason: str | None = None) -> None:
        """A taken event needs no memory any more: it is stored, or dropped for `reason`."""
        with self._lock:
            self.held -= 1
            if reason is not None:
                self.dropped[reason] += 1
            self._room.notify()
            for flush in self._flushes:
                flush.left -= number <= flush.target
                if not flush.left:
                    self._flushed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until every event accepted before this call is settled; what comes later is not waited for."""
        with self._lock:
            flush = _Flush(self.accepted, self.held)
            self._flushes.append(flush)
            self._stir()
            try:
                return self._flushed.wait_for(lambda: not flush.left, timeout)
            finally:
                self._flushes.remove(flush)

    def close(self) -> None:
        """Accept nothing more."""
        with self._lock:
            self._closed = True
            self._room.notify_all()
            self._stir()

    @property
    def closed(self) -> bool:
        """Whether nothing more is accepted."""
        return self._closed

    @property
    def waiting(self) -> int:
        """How many are accepted and not taken."""
        return len(self._waiting)

    def snapshot(self) -> tuple[int, dict[str, int], int]:
        """Accepted, dropped by reason, and held, of one moment."""
        with self._lock:
            return self.accepted, dict(self.dropped), self.held
