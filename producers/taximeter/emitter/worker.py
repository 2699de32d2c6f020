"""The emitter's worker: encodes what waits, sends it, and keeps each event until the broker has acknowledged it.

A failed delivery is sent again, with growing pauses, until the worker is stopped; the event's id makes a repeat
harmless. An event that cannot be encoded or that the broker can never take is dropped and counted. A crash of the
process loses what is held in memory. Everything here runs on one thread.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from taximeter.emitter.finishing import to_event
from taximeter.emitter.transport import Transport
from taximeter.emitter.waiting import WaitingRoom
from taximeter.faults import Faults
from taximeter_schemas import codec, frame
from taximeter_schemas.errors import Poison, TaximeterError
from taximeter_schemas.registry import Registry

_BATCH = 500
_SHORTEST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1
_LONGEST_BACKOFF = 30.0
_IDLE_SECONDS = 1.0


@dataclass(slots=True)
class Sending:
    """One encoded event on its way."""

    number: int
    key: bytes
    value: bytes
    tries: int = 0


@dataclass(slots=True)
class Progress:
    """What the worker counted; only its thread writes."""

    encoded: int = 0
    produced: int = 0
    acknowledged: int = 0
    failed: int = 0
    retried: int = 0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker works with."""

    room: WaitingRoom
    transport: Transport
    registry: Registry
    faults: Faults
    redaction: bool = True
    clock: Callable[[], float] = field(default=time.monotonic)


def backoff(tries: int) -> float:
    """Seconds to wait before sending again what has failed `tries` times."""
    return float(min(0.05 * 2 ** min(tries, 16), _LONGEST_BACKOFF))


class Worker:
    """`run` until `stop_by` has come after the room was closed, or nothing is held any more."""

    def __init__(self, parts: Parts) -> None:
        self._room, self._transport, self._faults = parts.room, parts.transport, parts.faults
        self._registry, self._redaction, self._clock = parts.registry, parts.redaction, parts.clock
        self._header: bytes | None = None
        self._outgoing: deque[Sending] = deque()
        self._in_flight: dict[int, Sending] = {}
        self._again: list[tuple[float, int, Sending]] = []
        self._turns = count()
        self._paused_until = 0.0
        self._troubles = 0
        self.progress = Progress()
        self.stop_by = float("inf")

    def run(self) -> None:
        """Work until stopped. Never raises; the transport is closed at the end."""
        pause = _SHORTEST_PAUSE
        while not self._finished():
            before = self.progress.produced + self.progress.acknowledged
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - whatever goes wrong once must not end metering
                self._faults.say("emitter", f"the emitter goes on after a {type(error).__name__}")
                self._trouble()
            moved = self.progress.produced + self.progress.acknowledged != before
            pause = _SHORTEST_PAUSE if moved else min(pause * 2, _LONGEST_PAUSE)
            if not (moved and (self._outgoing or self._room.waiting)):
                self._room.rest(self._idle_seconds(pause))
        try:
            self._transport.close()
        except Exception as error:  # noqa: BLE001 - the thread ends here; nobody is left to handle it
            self._faults.say("emitter.close", f"closing the transport failed with {type(error).__name__}")

    def _finished(self) -> bool:
        return self._room.closed and (self._room.held == 0 or self._clock() >= self.stop_by)

    def _idle_seconds(self, pause: float) -> float:
        if self._in_flight or self._outgoing or self._room.closed:
            return pause
        # Nothing is under way: new work wakes at once, a resend when it falls due, the client's own news now and then.
        due = [moment for moment, _, _ in self._again[:1]]
        if self._room.waiting:
            due.append(self._paused_until)
        return min(max(0.0, min(due) - self._clock()), _IDLE_SECONDS) if due else _IDLE_SECONDS

    def _step(self) -> None:
        now = self._clock()
        while self._again and self._again[0][0] <= now:
            self._outgoing.append(heapq.heappop(self._again)[2])
        if now >= self._paused_until:
            if not self._outgoing:
                self._encode_batch()
            self._send_outgoing()
        if self._room.closed:
            self._transport.flush(min(_LONGEST_PAUSE, max(0.0, self.stop_by - now)))
        else:
            self._transport.poll(0.0)

    def _encode_batch(self) -> None:
        if self._header is None and self._room.waiting:
            self._header = self._find_header()
        if self._header is None:
            return
        for number, emission in self._room.take(_BATCH):
            try:
                value = codec.encode(to_event(emission, redaction=self._redaction), self._header)
                key = emission.attribution["run_id"].encode()
            except Exception as error:  # noqa: BLE001 - one event that cannot be encoded must not hold up the others
                self._room.settle(number, "invalid")
                self._faults.say(
                    "emitter.encode", f"an event was dropped: it cannot be encoded ({type(error).__name__})"
                )
                continue
            self.progress.encoded += 1
            self._outgoing.append(Sending(number, key, value))

    def _find_header(self) -> bytes | None:
        try:
            return frame.header(self._registry.current_id())
        except TaximeterError as error:
            self._faults.say("emitter.registry", f"events wait in memory: {error}")
            self._trouble()
            return None

    def _send_outgoing(self) -> None:
        while self._outgoing:
            sending = self._outgoing[0]
            self._in_flight[sending.number] = sending
            try:
                self._transport.send(sending.key, sending.value, partial(self._delivered, sending))
            except Poison as error:
                del self._in_flight[sending.number]
                self._refused(sending, error)
            except TaximeterError as error:
                del self._in_flight[sending.number]
                self._faults.say("emitter.send", f"events wait in memory: {error}")
                self._trouble()
                return
            else:
                self._troubles = 0
                self.progress.produced += 1
                self.progress.retried += sending.tries > 0
            self._outgoing.popleft()

    def _delivered(self, sending: Sending, error: TaximeterError | None) -> None:
        if self._in_flight.pop(sending.number, None) is None:
            return
        if error is None:
            self.progress.acknowledged += 1
            self._room.settle(sending.number)
            return
        self.progress.failed += 1
        if isinstance(error, Poison):
            self._refused(sending, error)
            return
        sending.tries += 1
        self._faults.say("emitter.delivery", f"events are sent again: {error}")
        due = self._clock() + backoff(sending.tries)
        heapq.heappush(self._again, (due, next(self._turns), sending))

    def _refused(self, sending: Sending, error: Poison) -> None:
        self._room.settle(sending.number, "refused")
        self._faults.say("emitter.refused", f"an event was dropped: {error}")

    def _trouble(self) -> None:
        self._troubles += 1
        self._paused_until = self._clock() + min(backoff(self._troubles), 1.0)
