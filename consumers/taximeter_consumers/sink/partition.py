"""What the sink knows of one partition: the records that wait, the batches that are being stored, where to commit.

    read from Kafka ──offer──▶ waiting ──cut──▶ in flight (oldest first) ──stored──▶ committed

Memory is disposable, the log is the truth: when the partition is taken away this object is thrown away with all that
waits in it, and nothing is lost.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, cast

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from taximeter_consumers.sink.batch import RECORD_OVERHEAD, Batch, CutPolicy, covered_by
from taximeter_consumers.sink.intent import Intent, to_metadata

if TYPE_CHECKING:
    from collections.abc import Sequence


class Partition:
    """One assigned partition of the sink."""

    def __init__(self, topic: str, number: int, start: int, intents: Sequence[Intent]) -> None:
        self.topic = topic
        self.number = number
        self.paused = False
        self._commit_at = start
        self._next_offset = start
        self._log_end: int | None = None
        self._waiting: list[Message] = []
        self._waiting_bytes = 0
        self._waiting_since = 0.0
        self._in_flight: deque[Batch] = deque()
        self._stored: set[int] = set()
        self._intended = deque(intents)

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
        self._intended.clear()

    def cut(self, policy: CutPolicy, now: float, *, partitions: int, most_in_flight: int, drain: bool) -> Batch | None:
        """The next batch if one is due, now in flight; None otherwise. With `drain` the log's end is enough."""
        if len(self._in_flight) >= most_in_flight:
            return None
        rows = self._rows_of_intent()
        announced_before = rows is not None
        if rows is None:
            waited = now - self._waiting_since
            due = policy.due(len(self._waiting), self._waiting_bytes, waited, partitions)
            if self._intended or not (due or (drain and self.at_end)):
                return None
            rows = min(len(self._waiting), policy.rows)
        if rows == 0:
            return None
        return self._take(rows, now, announced_before=announced_before)

    def stored(self, batch: Batch) -> None:
        """The batch is in ClickHouse, in the dead letters and in the ledger."""
        self._stored.add(batch.first)
        while self._in_flight and self._in_flight[0].first in self._stored:
            done = self._in_flight.popleft()
            self._stored.discard(done.first)
            self._commit_at = done.last + 1

    def position(self) -> tuple[int, str]:
        """What to commit: the offset below which all is stored, and the intents from there on."""
        return self._commit_at, to_metadata([batch.intent() for batch in self._in_flight])

    @property
    def at_end(self) -> bool:
        """Whether everything up to the log's end, as last seen, has been read."""
        return self._log_end is not None and self._next_offset >= self._log_end

    @property
    def next_offset(self) -> int:
        """Where reading goes on."""
        return self._next_offset

    @property
    def rebuilding(self) -> bool:
        """Whether a batch that was announced before is still to be completed: reading must go on until it is."""
        return bool(self._intended)

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

    def _rows_of_intent(self) -> int | None:
        """How many rows the next intended batch takes; None when it is not complete yet, or none is intended."""
        while self._intended:
            rows = covered_by([_offset(message) for message in self._waiting], self._intended[0], self._next_offset)
            if rows is None:
                return None
            self._intended.popleft()
            if rows:
                return rows
        return None

    def _take(self, rows: int, now: float, *, announced_before: bool) -> Batch:
        taken, self._waiting = self._waiting[:rows], self._waiting[rows:]
        self._waiting_bytes -= sum(map(len, taken))
        self._waiting_since = now
        batch = Batch(
            topic=self.topic,
            partition=self.number,
            # map over the C methods: this is the one place that touches every record.
            offsets=cast("list[int]", list(map(Message.offset, taken))),
            values=cast("list[bytes | None]", list(map(Message.value, taken))),
            arrivals=[_arrival(*stamp) for stamp in map(Message.timestamp, taken)],
            messages=taken,
            announced_before=announced_before,
        )
        self._in_flight.append(batch)
        return batch


def _arrival(kind: int, millis: int) -> int:
    # Where producers set the time it may be nonsense; 42 bits (the year 2109) are what a version has room for.
    return 0 if kind == TIMESTAMP_NOT_AVAILABLE else min(max(millis, 0), 2**42 - 1)


def _offset(message: Message) -> int:
    offset = message.offset()
    if offset is None:  # pragma: no cover - only librdkafka's error events have none, and they never come here
        raise AssertionError("a record without an offset")
    return offset
