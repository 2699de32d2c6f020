"""The outbox: encoded events until the broker has acknowledged them, the disk spool has them, or they are refused.

A failed delivery is sent again, with growing pauses. With a spool, the client is given at most half of the room, so
that what it cannot deliver never keeps the rest from the disk; and what it has had for seconds without a single
delivery is taken back and spooled. A repeat is harmless: the event's id is the same.

For the worker's thread. A crash loses what is held here.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from functools import partial
from itertools import count

from taximeter.emitter.sending import Parts, Progress, Sending, backoff
from taximeter_schemas.errors import Poison, TaximeterError

# Shares of the room, and the seconds that an event may wait for a broker before it is safer on disk.
SPILL_AT = 0.75
SENT_AT_MOST = 0.5
SPILL_AFTER_SECONDS = 5.0
# A client begins anew after a taking back; on a slow way its first delivery needs many answers, so it gets more time.
_LONGEST_PATIENCE = 60.0


class Outbox:
    """`add`, then `send` and `relieve` again and again; `spill_all` at the end."""

    def __init__(self, parts: Parts, progress: Progress) -> None:
        self._room, self._transport, self._faults = parts.room, parts.transport, parts.faults
        self._spool, self._clock, self._progress = parts.spool, parts.clock, progress
        self._outgoing: deque[Sending] = deque()
        self._in_flight: dict[int, Sending] = {}
        self._in_flight_bytes = 0
        self._again: list[tuple[float, int, Sending]] = []
        self._turns = count()
        self._troubles = 0
        self._patience = SPILL_AFTER_SECONDS
        self._heard = 0.0  # the latest delivery, or when there was nothing to deliver
        self.paused_until = 0.0
        self.closing = False
        """Whether the client is told to let go of what it has: then what it reports as failed is no news."""

    @property
    def outgoing(self) -> bool:
        """Whether something is to be sent at once."""
        return bool(self._outgoing)

    @property
    def in_flight(self) -> bool:
        """Whether the client has something."""
        return bool(self._in_flight)

    @property
    def healthy(self) -> bool:
        """Whether all that could be sent is sent."""
        return not (self._troubles or self._again or self._outgoing)

    @property
    def next_due(self) -> float | None:
        """When something is to be sent again, by the clock."""
        return self._again[0][0] if self._again else None

    def add(self, sendings: Iterable[Sending]) -> None:
        """To be sent, in this order."""
        self._outgoing.extend(sendings)

    def trouble(self) -> None:
        """Something failed: pause, longer each time."""
        self._troubles += 1
        self.paused_until = self._clock() + min(backoff(self._troubles), 1.0)

    def send(self, now: float) -> None:
        """Hand to the client what is due, as much as it takes and may have."""
        while self._again and self._again[0][0] <= now:
            self._outgoing.append(heapq.heappop(self._again)[2])
        if now < self.paused_until:
            return
        if not self._in_flight:
            self._heard = now
        while self._outgoing and not self._client_has_enough():
            sending = self._outgoing[0]
            try:
                self._hand_over(sending)
            except Poison as error:
                self._refused(sending, error)
            except TaximeterError as error:
                self._faults.say("emitter.send", f"events wait in memory: {error}")
                self.trouble()
                return
            else:
                self._troubles = 0
                self._progress.produced += 1
                self._progress.retried += sending.tries > 0
            self._outgoing.popleft()

    def _client_has_enough(self) -> bool:
        return self._spool is not None and self._room.fills(SENT_AT_MOST, len(self._in_flight), self._in_flight_bytes)

    def _hand_over(self, sending: Sending) -> None:
        # First, because the report may come at once.
        self._in_flight[id(sending)] = sending
        self._in_flight_bytes += len(sending.value)
        try:
            self._transport.send(sending.key, sending.value, partial(self._delivered, sending))
        except BaseException:
            self._landed(sending)
            raise

    def _landed(self, sending: Sending) -> bool:
        if self._in_flight.pop(id(sending), None) is None:
            return False
        self._in_flight_bytes -= len(sending.value)
        return True

    def _delivered(self, sending: Sending, error: TaximeterError | None) -> None:
        if not self._landed(sending):
            return
        if error is None:
            self._heard, self._patience = self._clock(), SPILL_AFTER_SECONDS
            self._progress.acknowledged += 1
            self._room.settle(sending.number, weight=len(sending.value))
            return
        self._progress.failed += 1
        if isinstance(error, Poison):
            self._refused(sending, error)
            return
        sending.tries += 1
        if not self.closing:
            self._faults.say("emitter.delivery", f"events are sent again: {error}")
        due = self._clock() + backoff(sending.tries)
        heapq.heappush(self._again, (due, next(self._turns), sending))

    def _refused(self, sending: Sending, error: Poison) -> None:
        self._room.settle(sending.number, "refused", len(sending.value))
        self._faults.say("emitter.refused", f"an event was dropped: {error}")

    def stuck(self, now: float) -> bool:
        """Whether the client has delivered nothing for seconds, and there is a disk to go to."""
        return self._spool is not None and bool(self._in_flight) and now - self._heard >= self._patience

    def take_back(self, now: float) -> None:
        """Spool what the client has, as far as there is room on disk; the client then lets go of everything."""
        self._heard, self._patience = now, min(2 * self._patience, _LONGEST_PATIENCE)
        sent = list(self._in_flight.values())
        left = self._spill(sent)
        if len(left) < len(sent):
            self._forget_in_flight()
            self._outgoing.extendleft(reversed(left))
            self._transport.close()

    def _forget_in_flight(self) -> None:
        self._in_flight.clear()
        self._in_flight_bytes = 0

    def relieve(self, now: float) -> None:
        """Spool what is not sent, if there is no room for more or if it has waited for seconds."""
        if self._spool is None or not (self._outgoing or self._again):
            return
        unsent = self._unsent()
        if self._room.filled(SPILL_AT) or now - min(sending.since for sending in unsent) >= SPILL_AFTER_SECONDS:
            # Nothing is let go of before the disk has it.
            self._outgoing = deque(self._spill(unsent))
            self._again.clear()

    def _unsent(self) -> list[Sending]:
        return [*(sending for _, _, sending in sorted(self._again)), *self._outgoing]

    def _spill(self, sendings: list[Sending]) -> list[Sending]:
        if self._spool is None or not sendings:
            return sendings
        kept = self._spool.append([(sending.key, sending.value) for sending in sendings])
        for sending in sendings[:kept]:
            self._room.settle(sending.number, weight=len(sending.value))
        self._progress.spilled += kept
        if kept:
            self._faults.say(
                "emitter.spill", f"the broker does not keep up: {kept} events were moved to the disk spool"
            )
        return sendings[kept:]

    def spill_all(self) -> None:
        """Spool all of it, at the end. What was sent may have arrived unheard of; its id makes that harmless."""
        if self._spool is not None:
            left = self._spill([*self._in_flight.values(), *self._unsent()])
            self._forget_in_flight()
            self._again.clear()
            self._outgoing = deque(left)
