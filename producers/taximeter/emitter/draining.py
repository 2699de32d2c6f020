"""Draining: what an earlier time, or a process that is gone, left in the spool is sent when the broker is well again.

One segment at a time, oldest first; it is deleted when the broker has acknowledged every record of it. A kill before
that sends it again, with the same event ids. Live events go first. Runs on the worker's thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

from taximeter.emitter.transport import Transport
from taximeter.faults import Faults
from taximeter.spool import Segment, Spool
from taximeter_schemas.errors import Poison, Retryable, TaximeterError

_BATCH = 200
_IN_FLIGHT = 1_000
_LOOK_SECONDS = 5.0
_PAUSE_SECONDS = 2.0

_Record = tuple[bytes, bytes]


class Draining:
    """`step` sends a part of what waits, `stop` gives back what is not finished."""

    def __init__(self, spool: Spool, transport: Transport, faults: Faults, clock: Callable[[], float]) -> None:
        self._spool, self._transport, self._faults, self._clock = spool, transport, faults, clock
        self._segment: Segment | None = None
        self._records: Iterator[_Record] = iter(())
        self._read = False
        self._again: deque[_Record] = deque()
        self._in_flight = 0
        self._refused = False
        self._not_before = 0.0
        self.drained = 0

    @property
    def busy(self) -> bool:
        """Whether a segment is being sent."""
        return self._segment is not None

    def step(self, *, healthy: bool) -> None:
        """Send at most a batch. When the broker is not well, only what was sent is waited for."""
        now = self._clock()
        if not healthy or now < self._not_before:
            return
        if self._segment is None:
            self._spool.seal()
            self._segment = self._spool.claim()
            if self._segment is None:
                self._not_before = now + _LOOK_SECONDS
                return
            self._records, self._read, self._refused = self._segment.records(), False, False
        self._send(self._segment)
        if self._read and not self._again and not self._in_flight:
            self._end(self._segment)

    def _send(self, segment: Segment) -> None:
        for _ in range(min(_BATCH, _IN_FLIGHT - self._in_flight)):
            record = self._again.popleft() if self._again else next(self._records, None)
            if record is None:
                self._read = True
                return
            self._in_flight += 1
            try:
                self._transport.send(*record, partial(self._delivered, segment, record))
            except TaximeterError as error:
                self._delivered(segment, record, error)
                return
            except Exception as error:
                # Else the record would count as on its way for ever, and its segment never end.
                self._delivered(segment, record, Retryable(f"the transport failed with {type(error).__name__}"))
                raise

    def _delivered(self, segment: Segment, record: _Record, error: TaximeterError | None) -> None:
        if segment is not self._segment:
            return
        self._in_flight -= 1
        if error is None:
            self.drained += 1
        elif isinstance(error, Poison):
            self._refused = True
            self._faults.say("emitter.refused", f"a spooled event cannot be sent; its file is kept aside: {error}")
        else:
            self._again.append(record)
            self._not_before = self._clock() + _PAUSE_SECONDS

    def _end(self, segment: Segment) -> None:
        if self._refused:
            segment.set_aside()
        else:
            segment.done()
        self._segment = None

    def stop(self) -> None:
        """Give the segment back; what of it was acknowledged is sent once more, which its ids make harmless."""
        if self._segment is not None:
            self._segment.release()
            self._segment = None
            self._again.clear()
            self._in_flight = 0
            self._not_before = self._clock() + _LOOK_SECONDS
