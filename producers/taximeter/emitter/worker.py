"""The emitter's worker: reads and encodes what waits, sends it, and keeps each event until the broker acknowledged it.

A failed delivery is sent again, with growing pauses, until the worker is stopped; the event's id makes a repeat
harmless. Under pressure it gives way in a fixed order, each step counted: at half of the room it sheds what only helps
to find a cause; at three quarters, or when events could not be sent for seconds, it moves them to the disk spool; only
what finds the room full is dropped (by the room itself). What is left at the end is spooled. An event that cannot be
encoded or that the broker can never take is dropped and counted. A crash of the process loses what is held in memory.

Everything here runs on one thread.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from taximeter.emission import Emission
from taximeter.emitter.draining import Draining
from taximeter.emitter.finishing import Finishing
from taximeter.emitter.sending import Progress, Sending
from taximeter.emitter.transport import Transport
from taximeter.emitter.waiting import WaitingRoom
from taximeter.faults import Faults
from taximeter.spool import Spool
from taximeter_schemas import frame
from taximeter_schemas.errors import Poison, TaximeterError
from taximeter_schemas.registry import Registry

_BATCH = 200
_SHORTEST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1
_LONGEST_BACKOFF = 30.0
_IDLE_SECONDS = 1.0

# After the last event the thread looks for more by itself for a while, so that the hooks need not wake it.
_AWAKE_SECONDS = 0.2
_DOZE_SECONDS = 0.005

# How many events are encoded before the host's threads are let in: they wait for the interpreter meanwhile.
_IN_A_ROW = 16

# Shares of the room, and the seconds that an event may wait for a broker before it is safer on disk.
SHED_AT = 0.5
SPILL_AT = 0.75
SPILL_AFTER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker works with."""

    room: WaitingRoom
    transport: Transport
    registry: Registry
    faults: Faults
    redaction: bool = True
    spool: Spool | None = None
    clock: Callable[[], float] = field(default=time.monotonic)


def backoff(tries: int) -> float:
    """Seconds to wait before sending again what has failed `tries` times."""
    return float(min(0.05 * 2 ** min(tries, 16), _LONGEST_BACKOFF))


class Worker:
    """`run` until `stop_by` has come after the room was closed, or nothing is held any more."""

    def __init__(self, parts: Parts) -> None:
        self._room, self._transport, self._faults = parts.room, parts.transport, parts.faults
        self._registry, self._spool, self._clock = parts.registry, parts.spool, parts.clock
        self._finishing = Finishing(parts.faults, redaction=parts.redaction)
        self._draining = Draining(parts.spool, parts.transport, parts.faults, parts.clock) if parts.spool else None
        self._header: bytes | None = None
        self._outgoing: deque[Sending] = deque()
        self._in_flight: dict[int, Sending] = {}
        self._again: list[tuple[float, int, Sending]] = []
        self._turns = count()
        self._paused_until = 0.0
        self._troubles = 0
        self.progress = Progress()
        self.stop_by = float("inf")

    @property
    def shed(self) -> int:
        """Events that went without their debug-only texts."""
        return self._finishing.shed

    @property
    def drained(self) -> int:
        """Events that were sent from the spool."""
        return self._draining.drained if self._draining else 0

    def run(self) -> None:
        """Work until stopped. Never raises; the transport and the spool are closed at the end."""
        pause = _SHORTEST_PAUSE
        awake_until = 0.0
        while not self._finished():
            before = self._moves()
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - whatever goes wrong once must not end metering
                self._faults.say("emitter", f"the emitter goes on after a {type(error).__name__}")
                self._trouble()
            moved = self._moves() != before
            pause = _SHORTEST_PAUSE if moved else min(pause * 2, _LONGEST_PAUSE)
            now = self._clock()
            awake_until = now + _AWAKE_SECONDS if moved else awake_until
            if moved and (self._outgoing or self._room.waiting):
                continue
            if now < awake_until and not self._room.closed:
                self._room.doze(_DOZE_SECONDS)
            else:
                self._room.rest(self._idle_seconds(pause))
        for end in (self._spill_rest, self._leave_spool, self._transport.close):
            try:
                end()
            except Exception as error:  # noqa: BLE001 - the thread ends here; nobody is left to handle it
                self._faults.say("emitter.close", f"the end of the emitter failed with {type(error).__name__}")

    def _moves(self) -> int:
        progress = self.progress
        return progress.encoded + progress.produced + progress.acknowledged + progress.spilled + self.drained

    def _finished(self) -> bool:
        return self._room.closed and (self._room.held == 0 or self._clock() >= self.stop_by)

    def _idle_seconds(self, pause: float) -> float:
        draining = self._draining is not None and self._draining.busy
        if self._in_flight or self._outgoing or self._room.closed or draining:
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
        self._encode_batch(now)
        if now >= self._paused_until:
            self._send_outgoing()
        self._spill_if_pressed(now)
        if self._room.closed:
            self._transport.flush(min(_LONGEST_PAUSE, max(0.0, self.stop_by - now)))
        else:
            self._transport.poll(0.0)
            if self._draining is not None:
                healthy = not (self._troubles or self._again or self._outgoing)
                self._draining.step(healthy=healthy)

    def _encode_batch(self, now: float) -> None:
        if not self._room.waiting:
            return
        if self._header is None and now >= self._paused_until:
            self._header = self._find_header()
        if self._header is None:
            return
        shed = self._room.filled(SHED_AT)
        for place, (number, emission) in enumerate(self._room.take(_BATCH), start=1):
            self._encode(number, emission, self._header, now, shed=shed)
            if not place % _IN_A_ROW:
                time.sleep(0)
        if shed:
            self._faults.say("emitter.shed", "half of the room for events is taken: debug-only texts are left out")

    def _encode(self, number: int, emission: Emission, header: bytes, now: float, *, shed: bool) -> None:
        try:
            values = self._finishing.values_of(emission, header, shed=shed)
            key = emission.attribution["run_id"].encode()
        except Exception as error:  # noqa: BLE001 - one event that cannot be encoded must not hold up the others
            self._room.settle(number, "invalid")
            self._faults.say("emitter.encode", f"an event was dropped: it cannot be encoded ({type(error).__name__})")
            return
        if len(values) != 1:
            self._room.expand(number, len(values))
        self._room.weigh(sum(map(len, values)))
        self.progress.encoded += len(values)
        self._outgoing.extend(Sending(number, key, value, now) for value in values)

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
            self._in_flight[id(sending)] = sending
            try:
                self._transport.send(sending.key, sending.value, partial(self._delivered, sending))
            except Poison as error:
                del self._in_flight[id(sending)]
                self._refused(sending, error)
            except TaximeterError as error:
                del self._in_flight[id(sending)]
                self._faults.say("emitter.send", f"events wait in memory: {error}")
                self._trouble()
                return
            else:
                self._troubles = 0
                self.progress.produced += 1
                self.progress.retried += sending.tries > 0
            self._outgoing.popleft()

    def _delivered(self, sending: Sending, error: TaximeterError | None) -> None:
        if self._in_flight.pop(id(sending), None) is None:
            return
        if error is None:
            self.progress.acknowledged += 1
            self._room.settle(sending.number, weight=len(sending.value))
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
        self._room.settle(sending.number, "refused", len(sending.value))
        self._faults.say("emitter.refused", f"an event was dropped: {error}")

    def _trouble(self) -> None:
        self._troubles += 1
        self._paused_until = self._clock() + min(backoff(self._troubles), 1.0)

    def _spill_if_pressed(self, now: float) -> None:
        if self._spool is None or not (self._outgoing or self._again):
            return
        oldest = min((sending.since for sending in self._unsent()), default=now)
        if self._room.filled(SPILL_AT) or now - oldest >= SPILL_AFTER_SECONDS:
            unsent = self._unsent()
            self._outgoing.clear()
            self._again.clear()
            self._outgoing.extend(self._spill(unsent))

    def _unsent(self) -> list[Sending]:
        return [*(sending for _, _, sending in sorted(self._again)), *self._outgoing]

    def _spill(self, sendings: list[Sending]) -> list[Sending]:
        if self._spool is None or not sendings:
            return sendings
        kept = self._spool.append([(sending.key, sending.value) for sending in sendings])
        for sending in sendings[:kept]:
            self._room.settle(sending.number, weight=len(sending.value))
        self.progress.spilled += kept
        if kept:
            self._faults.say(
                "emitter.spill", f"the broker does not keep up: {kept} events were moved to the disk spool"
            )
        return sendings[kept:]

    def _spill_rest(self) -> None:
        if self._spool is None or not self._room.held:
            return
        self._paused_until = 0.0
        while self._room.waiting and self._paused_until == 0.0:
            self._encode_batch(self._clock())
        # What was sent and not acknowledged may have arrived; sent again from the spool, its ids make that harmless.
        unsent = [*self._in_flight.values(), *self._unsent()]
        self._in_flight.clear()
        self._again.clear()
        self._outgoing = deque(self._spill(unsent))

    def _leave_spool(self) -> None:
        if self._draining is not None:
            self._draining.stop()
        if self._spool is not None:
            self._spool.close()
