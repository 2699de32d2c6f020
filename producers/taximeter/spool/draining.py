"""Sending what a spool holds through a transport, and deleting a segment once the broker has all of it.

Stopping at any moment, by a kill, a signal or the time's end, leaves a segment as it was; what was sent of it is sent
again later under the same event ids. What the broker can never take keeps its segment, under another name.
Memory: at most `WINDOW` records are on their way.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from taximeter.emitter.transport import Transport
from taximeter.spool.spool import Spool
from taximeter_schemas.errors import Full, Poison, TaximeterError

WINDOW = 10_000
_POLL_SECONDS = 0.05
_PAUSE_SECONDS = 0.5

Pair = tuple[bytes, bytes]


@dataclass(slots=True)
class Drained:
    """What was sent so far."""

    segments: int = 0  # sent whole and taken away
    acknowledged: int = 0  # records
    refused: int = 0  # records that the broker never takes
    torn_bytes: int = 0
    damaged_bytes: int = 0
    set_aside: int = 0  # segments kept under another name
    why: str = ""  # the latest trouble; empty if the last attempt went well


@dataclass(frozen=True, slots=True)
class Bounds:
    """When to stop before the end."""

    silence_seconds: float  # without an acknowledgement
    stopped: Callable[[], bool] = lambda: False
    on_progress: Callable[[Drained], None] = lambda _: None
    clock: Callable[[], float] = time.monotonic


def drain(spool: Spool, transport: Transport, bounds: Bounds) -> Drained:
    """Send every segment that nobody holds, oldest first, until none is left or a bound is reached."""
    drained = Drained()
    while not bounds.stopped():
        segment = spool.claim()
        if segment is None:
            break
        sending = Sending(transport, bounds, drained)
        try:
            if not sending.all_of(segment.records()):
                break
            ended = segment.set_aside() if sending.refused else segment.done()
        finally:
            segment.release()
        drained.segments += ended
        drained.torn_bytes += segment.torn_bytes
        drained.damaged_bytes += segment.damaged_bytes
        drained.set_aside += segment.kept is not None
        drained.why = segment.error or drained.why
        bounds.on_progress(drained)
    return drained


class Sending:
    """One segment's records on their way."""

    def __init__(self, transport: Transport, bounds: Bounds, drained: Drained) -> None:
        self._transport, self._bounds, self._drained = transport, bounds, drained
        self._in_flight = 0
        self._again: deque[Pair] = deque()
        self._not_before = 0.0
        self._heard = bounds.clock()
        self.refused = 0

    def all_of(self, pairs: Iterator[Pair]) -> bool:
        """Whether each of them is acknowledged or refused for good."""
        pair = next(pairs, None)
        while pair is not None or self._again or self._in_flight:
            if self._bounds.stopped():
                return False
            if self._bounds.clock() - self._heard > self._bounds.silence_seconds:
                self._drained.why = self._drained.why or "the broker acknowledged nothing in time"
                return False
            blocked = self._bounds.clock() < self._not_before or self._in_flight >= WINDOW
            if self._again and not blocked:
                if self._sent(self._again[0]):
                    self._again.popleft()
            elif pair is not None and not blocked:
                if self._sent(pair):
                    pair = next(pairs, None)
            else:
                self._bounds.on_progress(self._drained)
                self._transport.poll(_POLL_SECONDS)
                continue
            self._transport.poll(0.0)
        return True

    def _sent(self, pair: Pair) -> bool:
        """Whether nothing more is to be done about it but to wait."""
        try:
            self._transport.send(*pair, partial(self._reported, pair))
        except Poison as error:
            self._refuse(error)
        except Full:
            self._transport.poll(_POLL_SECONDS)
            return False
        except TaximeterError as error:
            self._pause(error)
            return False
        else:
            self._in_flight += 1
        return True

    def _reported(self, pair: Pair, error: TaximeterError | None) -> None:
        self._in_flight -= 1
        if error is None:
            self._heard = self._bounds.clock()
            self._drained.acknowledged += 1
            self._drained.why = ""
        elif isinstance(error, Poison):
            self._refuse(error)
        else:
            self._again.append(pair)
            self._pause(error)

    def _refuse(self, error: Poison) -> None:
        self._heard = self._bounds.clock()
        self.refused += 1
        self._drained.refused += 1
        self._drained.why = str(error)

    def _pause(self, error: TaximeterError) -> None:
        self._drained.why = str(error)
        self._not_before = self._bounds.clock() + _PAUSE_SECONDS
