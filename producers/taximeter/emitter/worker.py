"""The emitter's worker: reads and encodes what waits, sends it, and keeps each event until the broker acknowledged it.

A failed delivery is sent again, with growing pauses, until the worker is stopped; the event's id makes a repeat
harmless. Under pressure it gives way in a fixed order, each step counted: at half of the room it sheds what only helps
to find a cause; at three quarters, or when events could not be sent for seconds, it moves them to the disk spool; only
what finds the room full is dropped (by the room itself). What is left at the end is spooled. An event that cannot be
encoded or that the broker can never take is dropped and counted. A crash of the process loses what is held in memory.

Everything here runs on one thread.
"""

from __future__ import annotations

import time

from taximeter.emission import Emission
from taximeter.emitter.draining import Draining
from taximeter.emitter.finishing import Finishing
from taximeter.emitter.outbox import Outbox
from taximeter.emitter.sending import Parts, Progress, Sending
from taximeter_schemas import frame
from taximeter_schemas.errors import TaximeterError

_BATCH = 200
_PRESSED_BATCH = 1_000  # under pressure, fewer and larger writes to the disk
_SHORTEST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1
_IDLE_SECONDS = 1.0

# After the last event the thread looks for more by itself for a while, so that the hooks need not wake it.
_AWAKE_SECONDS = 0.2
_DOZE_SECONDS = 0.005

# How many events are encoded before the host's threads are let in: they wait for the interpreter meanwhile.
_IN_A_ROW = 16

# From this share of the room on, events go without what only helps to find a cause.
SHED_AT = 0.5


class Worker:
    """`run` until `stop_by` has come after the room was closed, or nothing is held any more."""

    def __init__(self, parts: Parts) -> None:
        self._room, self._transport, self._faults = parts.room, parts.transport, parts.faults
        self._registry, self._spool, self._clock = parts.registry, parts.spool, parts.clock
        self._finishing = Finishing(parts.faults, redaction=parts.redaction)
        self._draining = Draining(parts.spool, parts.transport, parts.faults, parts.clock) if parts.spool else None
        self._header: bytes | None = None
        self.progress = Progress()
        self._outbox = Outbox(parts, self.progress)
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
                self._outbox.trouble()
            moved = self._moves() != before
            pause = _SHORTEST_PAUSE if moved else min(pause * 2, _LONGEST_PAUSE)
            now = self._clock()
            awake_until = now + _AWAKE_SECONDS if moved else awake_until
            if moved and (self._outbox.outgoing or self._room.waiting):
                continue
            if now < awake_until and not self._room.closed:
                self._room.doze(_DOZE_SECONDS)
            else:
                self._room.rest(self._idle_seconds(pause))
        self._outbox.closing = True
        for end in (self._spill_rest, self._leave_spool, self._transport.close):
            try:
                end()
            except Exception as error:  # noqa: BLE001 - the thread ends here; nobody is left to handle it
                self._faults.say("emitter.close", f"the end of the emitter failed with {type(error).__name__}")

    def _moves(self) -> int:
        return self.progress.moves + self.drained

    def _finished(self) -> bool:
        return self._room.closed and (self._room.held == 0 or self._clock() >= self.stop_by)

    def _idle_seconds(self, pause: float) -> float:
        draining = self._draining is not None and self._draining.busy
        if self._outbox.in_flight or self._outbox.outgoing or self._room.closed or draining:
            return pause
        # Nothing is under way: new work wakes at once, a resend when it falls due, the client's own news now and then.
        due = [] if self._outbox.next_due is None else [self._outbox.next_due]
        if self._room.waiting:
            due.append(self._outbox.paused_until)
        return min(max(0.0, min(due) - self._clock()), _IDLE_SECONDS) if due else _IDLE_SECONDS

    def _step(self) -> None:
        now = self._clock()
        self._encode_batch(now)
        self._outbox.send(now)
        self._outbox.relieve(now)
        if self._room.closed:
            self._transport.flush(min(_LONGEST_PAUSE, max(0.0, self.stop_by - now)))
            return
        self._transport.poll(0.0)
        if self._draining is not None:
            if self._outbox.stuck(now):
                self._draining.stop()
                self._outbox.take_back(now)
            self._draining.step(healthy=self._outbox.healthy)

    def _encode_batch(self, now: float) -> None:
        if not self._room.waiting:
            return
        if self._header is None and now >= self._outbox.paused_until:
            self._header = self._find_header()
        if self._header is None:
            return
        shed = self._room.filled(SHED_AT)
        for place, (number, emission) in enumerate(self._room.take(_PRESSED_BATCH if shed else _BATCH), start=1):
            self._encode(number, emission, self._header, now, shed=shed)
            # Not with half of the room taken: then this thread is behind, and the others are let in when they ask.
            if not (shed or place % _IN_A_ROW):
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
        self._outbox.add(Sending(number, key, value, now) for value in values)

    def _find_header(self) -> bytes | None:
        try:
            return frame.header(self._registry.current_id())
        except TaximeterError as error:
            self._faults.say("emitter.registry", f"events wait in memory: {error}")
            self._outbox.trouble()
            return None

    def _spill_rest(self) -> None:
        if self._spool is None or not self._room.held:
            return
        try:
            self._outbox.paused_until = 0.0
            while self._room.waiting and self._outbox.paused_until == 0.0:
                self._encode_batch(self._clock())
        finally:
            self._outbox.spill_all()

    def _leave_spool(self) -> None:
        if self._draining is not None:
            self._draining.stop()
        if self._spool is not None:
            self._spool.close()
