"""The sink's loop: poll, offer, hold, flush, commit. Always in this order, always polling, on one thread.

* A crash loses nothing: what was not committed is read again; what was being stored is cut again, and recognised.
* A rebalance takes partitions away: their batches in flight get a moment to finish, the rest is dropped.
* A zombie (a process that slept past its session) cannot commit, for the group fences it; it drops all and joins anew.
* When ClickHouse is slow or away, partitions are paused and polling goes on; memory stays within its bound.
* A stop lets inserts in flight finish, commits, and leaves the group.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from taximeter_consumers.sink import group
from taximeter_consumers.sink.batch import Batch, CutPolicy
from taximeter_consumers.sink.partition import Partition
from taximeter_schemas.errors import Fenced, Retryable

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

    from taximeter_consumers.sink.settings import SinkSettings
    from taximeter_consumers.sink.writers import Writers

_log = structlog.get_logger()
_POLL_SECONDS = 0.05
_POLL_RECORDS = 5_000
_ASK_OTHERS_SECONDS = 0.5


@dataclass
class SinkCounters:
    """What the sink has done since it started."""

    records: int = 0
    batches: int = 0
    dead_lettered: int = 0
    pauses: int = 0
    rebalances: int = 0


@dataclass
class _Work:
    """Batches that are cut but not yet announced, and partitions whose position has moved."""

    announced: list[Batch] = field(default_factory=list)
    moved: set[int] = field(default_factory=set)


class Loop:
    """One membership in the group, from subscribe to close."""

    def __init__(
        self, consumer: Consumer, topic: str, writers: Writers, settings: SinkSettings, counters: SinkCounters
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self._counters = counters
        self._writers = writers
        self._settings = settings
        self._policy = CutPolicy(
            settings.batch_rows, settings.batch_bytes, settings.batch_age_seconds, settings.parts_per_second
        )
        self._partitions: dict[int, Partition] = {}
        self._work = _Work()
        self._drain = False
        self._closing = False
        self._assigned_once = False
        self._ask_others_at = 0.0

    def run(self, stop: threading.Event, *, until_caught_up: bool = False) -> None:
        """Runs until `stop` is set, or until all that lay in the log is stored.

        Raises Retryable or Fenced (drop everything and open a new membership) or Misconfigured.
        """
        self._drain = until_caught_up
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        try:
            while not stop.is_set() and not (until_caught_up and self._caught_up()):
                self._poll()
                self._hold()
                self._collect(0.0)
                self._flush()
                self._commit()
            self._finish(self._partitions.values())
        finally:
            # So that closing the consumer waits for nothing any more.
            self._closing = True
            self._forget(list(self._partitions))

    def _poll(self) -> None:
        try:
            messages = self._consumer.consume(_POLL_RECORDS, _POLL_SECONDS)
        except KafkaException as error:
            raise group.translate(error.args[0]) from error
        if not any(map(Message.error, messages)):
            self._offer(messages)
            return
        self._offer([message for message in messages if message.error() is None])
        for message in messages:
            self._notice(message)

    def _offer(self, messages: list[Message]) -> None:
        now = time.monotonic()
        for number, records in groupby(messages, key=Message.partition):
            partition = self._partitions.get(number if number is not None else -1)
            if partition is not None:  # gone in a rebalance during this very poll
                partition.offer(list(records), now)

    def _hold(self) -> None:
        """Pauses what holds more than its share, resumes it at half of that. Polling goes on.

        An announced batch is read to its end while the memory of all allows: a pause would wait for ever."""
        share = max(self._settings.memory_bytes // max(len(self._partitions), 1), 1)
        held = {number: partition.memory for number, partition in self._partitions.items()}
        full = sum(held.values()) >= self._settings.memory_bytes
        for number, partition in self._partitions.items():
            place = [TopicPartition(self._topic, number)]
            if not partition.paused and held[number] >= share:
                if partition.rebuilding and not full:
                    continue
                partition.forget_intents()
                self._consumer.pause(place)
                partition.paused = True
                self._counters.pauses += 1
            elif partition.paused and held[number] <= share // 2:
                self._consumer.resume(place)
                partition.paused = False

    def _collect(self, timeout_seconds: float) -> None:
        for finished in self._writers.finished(timeout_seconds):
            if finished.failure is not None:
                raise finished.failure
            partition = self._partitions.get(finished.batch.partition)
            if finished.stored is None or partition is None or finished.batch not in partition.in_flight:
                continue  # stored for a partition that was given away meanwhile: its new owner answers for it
            partition.stored(finished.batch)
            self._work.moved.add(partition.number)
            self._counters.records += finished.stored.records
            self._counters.dead_lettered += finished.stored.dead_lettered
            self._counters.batches += 1
            _log.info(
                "batch stored",
                partition=partition.number,
                first=finished.batch.first,
                last=finished.batch.last,
                records=finished.stored.records,
                dead_lettered=finished.stored.dead_lettered,
            )

    def _flush(self) -> None:
        now = time.monotonic()
        for partition in self._partitions.values():
            while batch := partition.cut(
                self._policy,
                now,
                partitions=len(self._partitions),
                most_in_flight=self._settings.in_flight_per_partition,
                drain=self._drain,
            ):
                self._work.announced.append(batch)
                self._work.moved.add(partition.number)

    def _commit(self) -> None:
        """Tells Kafka what is stored and what is about to be; only then do the announced batches go to the writers."""
        if not self._work.moved:
            return
        positions = {number: self._partitions[number].position() for number in self._work.moved}
        try:
            group.commit(self._consumer, self._topic, positions)
        except Retryable as error:
            _log.warning("commit not taken yet", error=str(error))
            return
        for batch in self._work.announced:
            self._writers.submit(batch)
        self._work = _Work()

    def _caught_up(self) -> bool:
        """Whether all that lies in the topic is stored, by this sink or by the others of its group."""
        if not self._assigned_once or self._work.moved:
            return False
        if not all(partition.at_end and partition.idle for partition in self._partitions.values()):
            return False
        now = time.monotonic()
        if now < self._ask_others_at:
            return False
        self._ask_others_at = now + _ASK_OTHERS_SECONDS
        return not group.behind(self._consumer, self._topic, apart_from=self._partitions)

    def _notice(self, message: Message) -> None:
        error = message.error()
        if error is None:
            return
        number, offset = message.partition(), message.offset()
        partition = self._partitions.get(number if number is not None else -1)
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes begin with an underscore
            if partition is not None and offset is not None:
                partition.reached(offset)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET and partition is not None:  # noqa: SLF001
            self._start_over(partition)
        else:
            translated = group.translate(error)
            if error.fatal() or not isinstance(translated, Retryable):
                raise translated
            _log.warning("Kafka reports an error", error=str(translated))

    def _start_over(self, partition: Partition) -> None:
        """The next offset is no longer in the log: retention was faster than the sink, or the topic is new."""
        place = TopicPartition(self._topic, partition.number)
        try:
            low, high = self._consumer.get_watermark_offsets(place, timeout=15)
            self._consumer.incremental_unassign([place])
            self._consumer.incremental_assign([TopicPartition(self._topic, partition.number, low)])
        except KafkaException as error:
            raise group.translate(error.args[0]) from error
        _log.error(
            "RECORDS ARE MISSING: the offset to read next is not in the log any more; going on at its beginning."
            " Compare ingest_batches with what was produced, and give the topic more retention",
            partition=partition.number,
            missing_from=partition.next_offset,
            log_begins=low,
            log_ends=high,
        )
        if low >= partition.next_offset:
            partition.skip_to(low)
        else:
            # Another log: its offsets do not go with those in hand. What is in flight is stored all the same.
            paused, partition = partition.paused, Partition(self._topic, partition.number, low, ())
            partition.paused = paused
            self._partitions[partition.number] = partition
        self._work.moved.add(partition.number)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._closing:
            consumer.incremental_assign(partitions)
            return
        self._assigned_once = True
        self._counters.rebalances += 1
        standing = group.committed(consumer, partitions)
        starts = []
        for number, (offset, intents) in standing.items():
            self._partitions[number] = Partition(self._topic, number, max(offset, 0), intents)
            starts.append(TopicPartition(self._topic, number, offset if offset >= 0 else OFFSET_BEGINNING))
            if intents:
                _log.info("taking up announced batches", partition=number, first=offset, last=intents[-1].last)
        consumer.incremental_assign(starts)
        # librdkafka keeps a pause over a rebalance; these partitions are new here and hold nothing.
        consumer.resume(starts)
        _log.info("partitions assigned", partitions=sorted(standing))

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [place.partition for place in partitions]
        try:
            self._finish([self._partitions[number] for number in numbers if number in self._partitions])
        finally:
            # librdkafka waits for this, in a close without end.
            self._forget(numbers)
            consumer.incremental_unassign(partitions)
        _log.info("partitions given back", partitions=sorted(numbers))

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [place.partition for place in partitions]
        self._forget(numbers)
        consumer.incremental_unassign(partitions)
        _log.warning("partitions lost", partitions=sorted(numbers))

    def _finish(self, partitions: Iterable[Partition]) -> None:
        """Lets what is in flight finish, within the stop's patience, and commits it."""
        leaving = list(partitions)
        numbers = {partition.number for partition in leaving}
        unsubmitted = {batch for batch in self._work.announced if batch.partition in numbers}
        deadline = time.monotonic() + self._settings.stop_timeout_seconds
        while time.monotonic() < deadline:
            if all(batch in unsubmitted for partition in leaving for batch in partition.in_flight):
                break
            self._collect(_POLL_SECONDS)
        self._work.announced = [batch for batch in self._work.announced if batch not in unsubmitted]
        positions = {partition.number: partition.position() for partition in leaving}
        if positions:
            try:
                group.commit(self._consumer, self._topic, positions)
            except (Fenced, Retryable) as error:
                # What is not committed is stored again by the next owner, and recognised.
                _log.warning("last commit not taken", error=str(error))

    def _forget(self, numbers: Iterable[int]) -> None:
        gone = set(numbers)
        for number in gone:
            partition = self._partitions.pop(number, None)
            for batch in partition.in_flight if partition is not None else ():
                self._writers.give_up(batch)
        self._work.moved -= gone
        self._work.announced = [batch for batch in self._work.announced if batch.partition not in gone]
