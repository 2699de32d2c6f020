"""What the sink knows of one partition: the records that wait, the batches that are being stored, where to commit.

    read from Kafka ──offer──▶ waiting ──take──▶ in flight (oldest first) ──stored──▶ committed

Memory is disposable, the log is the truth: when the partition is taken away this object is thrown away with all that
waits in it, and nothing is lost.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, cast

from confluent_kafka import Message

from taximeter_consumers.sink.batch import RECORD_OVERHEAD, Batch
from taximeter_consumers.sink.bundle import Held

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taximeter_consumers.sink.intent import Intent, Slice


_MILLIS = itemgetter(1)
_MOST_MILLIS = 2**42


class Partition:
    """One assigned partition of the sink. `announced` are the bundles that a predecessor announced, in order."""

    def __init__(self, topic: str, number: int, start: int, announced: Iterable[Intent] = ()) -> None:
        self.topic = topic
        self.number = number
        self.paused = False
        self.stopped = False
        self._commit_at = start
        self._next_offset = start
        self._log_end: int | None = None
        self._waiting: list[Message] = []
        self._waiting_bytes = 0
        self._waiting_since = 0.0
        self._in_flight: deque[Batch] = deque()
        self._stored: set[int] = set()
        self._announced = deque(announced)

    def offer(self, messages: Sequence[Message], now: float) -> None:
        """Takes records, in offset order; `now` is a monotonic clock in seconds."""
        if not self._waiting:
            self._waiting_since = now
        self._waiting.extend(messages)
        self._waiting_bytes += sum(map(len, messages))
        self._next_offset = _offset(messages[-1]) + 1

    def reached(self, offset: int) -> None:
        """The log ends at `offset` for now. To be told after the records that were read before it."""
        self._next_offset = max(self._next_offset, offset)
        self._log_end = offset

    def skip_to(self, offset: int) -> None:
        """The log goes on at `offset`: what lay before it and was not read is gone. What was read stays in hand."""
        if self.idle:
            self._commit_at = offset
        self._next_offset = offset
        self._log_end = None

    def forget_intents(self) -> None:
        """Cuts afresh what was announced before: costs at most physical duplicates, which storage collapses."""
        self._announced.clear()

    def held(self) -> Held | None:
        """What may be cut now; None where nothing waits, where a slice that was announced before comes first, and where
        a flood of bad records has stopped the partition."""
        if not self._waiting or self._announced or self.stopped:
            return None
        return Held(self.number, len(self._waiting), self._waiting_bytes, self._waiting_since)

    def has_read(self, slice_: Slice) -> bool:
        """Whether an announced slice can be taken: it is the next one, and nothing more of it can come.

        Past its end that holds even where the last offsets have no records (transaction markers, compaction)."""
        return bool(self._announced) and slice_ in self._announced[0] and self._next_offset > slice_.last

    def ends_before(self, slice_: Slice) -> bool:
        """Whether the log, read to its end, ends within or before a slice."""
        return self.at_end and self._log_end is not None and self._log_end <= slice_.last

    def take_again(self, slice_: Slice, now: float) -> Batch | None:
        """The records of the next announced slice as a batch in flight; None if the log has none of them any more."""
        self._announced.popleft()
        offsets = list(map(_offset, self._waiting))
        rows = bisect_right(offsets, slice_.last)
        return self.take(rows, now) if rows else None

    def take(self, rows: int, now: float) -> Batch:
        """The oldest `rows` waiting records, at least one, as a batch that is now in flight."""
        taken, self._waiting = self._waiting[:rows], self._waiting[rows:]
        self._waiting_bytes = self._waiting_bytes - sum(map(len, taken)) if self._waiting else 0
        self._waiting_since = now
        batch = Batch(
            topic=self.topic,
            partition=self.number,
            # map over the C methods: this is the one place that touches every record.
            offsets=cast("list[int]", list(map(Message.offset, taken))),
            values=cast("list[bytes | None]", list(map(Message.value, taken))),
            arrivals=_arrivals(list(map(_MILLIS, map(Message.timestamp, taken)))),
            messages=taken,
        )
        self._in_flight.append(batch)
        return batch

    def stored(self, batch: Batch) -> list[Batch]:
        """The batch is in ClickHouse, in the dead letters and in the ledger. Returns what has left the flight: none
        while an older batch is still on its way."""
        self._stored.add(batch.first)
        landed = []
        while self._in_flight and self._in_flight[0].first in self._stored:
            done = self._in_flight.popleft()
            self._stored.discard(done.first)
            self._commit_at = done.last + 1
            landed.append(done)
        return landed

    @property
    def commit_at(self) -> int:
        """The offset below which all is stored."""
        return self._commit_at

    @property
    def at_end(self) -> bool:
        """Whether everything up to the log's end, as last seen, has been read."""
        return self._log_end is not None and self._next_offset >= self._log_end

    @property
    def next_offset(self) -> int:
        """Where reading goes on."""
        return self._next_offset

    @property
    def first_waiting(self) -> int | None:
        """The offset of the oldest waiting record."""
        return _offset(self._waiting[0]) if self._waiting else None

    @property
    def arrived_ms(self) -> int | None:
        """When the oldest record in hand arrived in Kafka, Unix milliseconds; None where none is in hand."""
        if self._in_flight:
            return self._in_flight[0].arrived_ms
        return self._waiting[0].timestamp()[1] if self._waiting else None

    @property
    def rebuilding(self) -> bool:
        """Whether a slice that was announced before is still to be completed: reading must go on until it is."""
        return bool(self._announced)

    @property
    def announced(self) -> Sequence[Intent]:
        """The bundles that were announced before and are not cut again yet, in order."""
        return tuple(self._announced)

    @property
    def memory(self) -> int:
        """What the records in hand take in memory, about, in bytes: waiting and in flight."""
        waiting = self._waiting_bytes + RECORD_OVERHEAD * len(self._waiting)
        return waiting + sum(batch.memory for batch in self._in_flight)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not self._waiting and not self._in_flight

    @property
    def in_flight(self) -> Sequence[Batch]:
        """The batches being stored, oldest first."""
        return tuple(self._in_flight)


def _arrivals(millis: list[int]) -> list[int]:
    # Where producers set the time it may be nonsense, and without one it is negative; 42 bits (the year 2109) are what
    # a version has room for.
    if min(millis) >= 0 and max(millis) < _MOST_MILLIS:
        return millis
    return [min(max(one, 0), _MOST_MILLIS - 1) for one in millis]


def _offset(message: Message) -> int:
    offset = message.offset()
    if offset is None:  # pragma: no cover - only librdkafka's error events have none, and they never come here
        raise AssertionError("a record without an offset")
    return offset
