"""The waiting room between the hooks and the emitter's thread: bounded, and counted event by event.

`held` counts an event from its acceptance until it is settled (stored, spooled, or dropped for good), and `weight` the
bytes of those that are encoded, so the two bounds are the bound on memory. `offer` is the one method that the host's
threads call. The lock may be entered again, because a signal handler may end a node while its own thread ends one.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

from taximeter.emission import Emission


@dataclass(slots=True, eq=False)
class _Flush:
    target: int  # the last number that it waits for
    left: int  # how many of those are not settled


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may be held, and how long a hook may wait for room."""

    events: int
    weight: int = 2**63
    block_seconds: float = 0.0


class WaitingRoom:
    """Emissions in the order of their acceptance; the n-th accepted has number n.

    An emission counts as one event until it is read, which tells how many it really is.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._most = bounds.events
        self._heaviest = bounds.weight
        self._block_seconds = bounds.block_seconds
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
        self.emissions = 0
        self.accepted = 0
        self.taken = 0
        self.held = 0
        self.weight = 0
        self.dropped: Counter[str] = Counter()

    def offer(self, emission: Emission) -> bool:
        """Accept the emission, or drop and count it: whether it was accepted. Waits for room at most the bound."""
        if self._closed and sys.is_finalizing():
            # The lock may be held by a daemon thread that the interpreter has stopped for ever.
            return False
        with self._lock:
            if (self._closed or self.held >= self._most or self.weight >= self._heaviest) and not self._wait_for_room():
                self.dropped["closed" if self._closed else "full"] += 1
                return False
            # Counted first: a signal handler that raises, as with `sys.exit`, may do so after the next call and no
            # sooner. What it finds then is whole.
            self.emissions += 1
            self.accepted += 1
            self.held += 1
            self._stirred = True
            self._waiting.append(emission)
            if self._resting:
                self._work.notify()
            return True

    def _wait_for_room(self) -> bool:
        if self._block_seconds and not self._closed:
            self._stir()
            self._room.wait_for(lambda: self._closed or not self._full(), self._block_seconds)
        return not (self._closed or self._full())

    def _full(self) -> bool:
        return self.held >= self._most or self.weight >= self._heaviest

    def filled(self, share: float) -> bool:
        """Whether at least this share of the room is taken, by number or by weight."""
        return self.fills(share, self.held, self.weight)

    def fills(self, share: float, events: int, weight: int) -> bool:
        """Whether so many events, or so many bytes, are at least this share of the room."""
        return events >= self._most * share or weight >= self._heaviest * share

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

    def doze(self, seconds: float) -> None:
        """Wait, on the emitter's thread, without being woken: no hook pays for a wake-up while events keep coming."""
        time.sleep(seconds)
        with self._lock:
            self._stirred = False

    def take(self, limit: int) -> list[tuple[int, Emission]]:
        """The next emissions with their numbers. They stay held."""
        with self._lock:
            count = min(limit, len(self._waiting))
            taken = [(self.taken + 1 + place, self._waiting.popleft()) for place in range(count)]
            self.taken += count
            return taken

    def expand(self, number: int, events: int) -> None:
        """A taken emission has been read: it is this many events."""
        with self._lock:
            self.accepted += events - 1
            self.held += events - 1
            for flush in self._flushes:
                if number <= flush.target:
                    flush.left += events - 1
            if not events:
                self._room.notify()
                self._wake_flushes()

    def weigh(self, weight: int) -> None:
        """An event has been encoded into this many bytes."""
        with self._lock:
            self.weight += weight

    def settle(self, number: int, reason: str | None = None, weight: int = 0) -> None:
        """A taken event needs no memory any more: it is stored or spooled, or dropped for `reason`."""
        with self._lock:
            self.held -= 1
            self.weight -= weight
            if reason is not None:
                self.dropped[reason] += 1
            self._room.notify()
            if self._flushes:
                for flush in self._flushes:
                    flush.left -= number <= flush.target
                self._wake_flushes()

    def _wake_flushes(self) -> None:
        if any(flush.left <= 0 for flush in self._flushes):
            self._flushed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until every event accepted before this call is settled; what comes later is not waited for."""
        with self._lock:
            flush = _Flush(self.emissions, self.held)
            self._flushes.append(flush)
            self._stir()
            try:
                return self._flushed.wait_for(lambda: flush.left <= 0, timeout)
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
