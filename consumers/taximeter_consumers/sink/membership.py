"""The sink's membership in its consumer group: which partitions it owns, and how they come and go.

librdkafka calls back, from within a poll or a close, when partitions are assigned, given back or lost. A callback never
raises into it: a close that was interrupted so may wait for ever. What goes wrong there comes out of the next `poll`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from taximeter_consumers.sink import group
from taximeter_consumers.sink.partition import Partition
from taximeter_consumers.sink.recovery import Rebuild, Trouble, start_of, to_rebuild, without
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from taximeter_consumers.sink.counters import SinkCounters
    from taximeter_consumers.sink.intent import Standing
    from taximeter_consumers.sink.log_identity import LogIdentity

_log = structlog.get_logger()
_POLL_RECORDS = 2_000
_TELL_SECONDS = 1.0


class Membership:
    """One membership, from `subscribe` to the consumer's close.

    `leaving` is called with the numbers of partitions that are to be given back, while this sink still owns them;
    `gone` when they are not its own any more. `stored_to` says the ledger's last offset of each partition.
    """

    def __init__(
        self, consumer: Consumer, topic: str, identity: LogIdentity, stored_to: Callable[[], Mapping[int, int]]
    ) -> None:
        self.partitions: dict[int, Partition] = {}
        self.rebuilds: list[Rebuild] = []
        self.rebalances = 0
        self._tell_at = 0.0
        self._consumer = consumer
        self._topic = topic
        self._identity = identity
        self._stored_to = stored_to
        self._leaving: Callable[[Sequence[int]], None] = lambda _: None
        self._gone: Callable[[Sequence[int]], None] = lambda _: None
        self._failure: Exception | None = None
        self._closing = False

    def subscribe(self, leaving: Callable[[Sequence[int]], None], gone: Callable[[Sequence[int]], None]) -> None:
        """Joins the group."""
        self._leaving, self._gone = leaving, gone
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def close(self) -> None:
        """From here on partitions are given back at once, so that closing the consumer waits for nothing."""
        self._closing = True

    def poll(self, timeout_seconds: float) -> tuple[list[Message], list[Message]]:
        """The next records, and the error events that came with them, for `notice`.

        Raises Retryable, Fenced or Misconfigured, and what went wrong in a callback.
        """
        try:
            messages = self._consumer.consume(_POLL_RECORDS, timeout_seconds)
        except KafkaException as error:
            raise group.told(error.args[0]) from error
        if self._failure is not None:
            raise self._failure
        if not any(map(Message.error, messages)):
            return messages, []
        records = [message for message in messages if message.error() is None]
        return records, [message for message in messages if message.error() is not None]

    def notice(self, message: Message) -> None:
        """Takes an error event of a poll, after the records that came with it."""
        error = message.error()
        if error is None:
            return
        number, offset = message.partition(), message.offset()
        partition = self.partitions.get(number if number is not None else -1)
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes begin with an underscore
            if partition is not None and offset is not None:
                partition.reached(offset)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET and partition is not None:  # noqa: SLF001
            self._start_over(partition)
        else:
            translated = group.told(error)
            if error.fatal() or not isinstance(translated, Retryable) or isinstance(translated, group.LogGone):
                raise translated
            _log.warning("Kafka reports an error", error=str(translated))

    def unread(self) -> int:
        """How many offsets lie between what was read and the logs' ends, as the last fetches saw them. Partitions that
        a flood has stopped do not count: nobody is about to read them."""
        total = 0
        for number, partition in self.partitions.items():
            if partition.stopped:
                continue
            _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), cached=True)
            total += max(high - partition.next_offset, 0)
        return total

    def tell(self, told: SinkCounters) -> None:
        """Notes how its partitions stand, once a second."""
        now = time.time()
        if now < self._tell_at:
            return
        self._tell_at = now + _TELL_SECONDS
        partitions = self.partitions.values()
        told.paused = sum(partition.paused for partition in partitions)
        told.stopped = sum(partition.stopped for partition in partitions)
        told.held_bytes = sum(partition.memory for partition in partitions)
        told.lag = self._lag(now)

    def _lag(self, now: float) -> dict[int, tuple[int, float]]:
        found = {}
        for number, partition in self.partitions.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), cached=True)
            arrived = partition.arrived_ms
            age = 0.0 if arrived is None else max(now - arrived / 1000, 0.0)
            found[number] = (max(high - partition.commit_at, 0), age)
        return found

    def pause(self, partition: Partition) -> None:
        """Fetches no more of it; polling goes on."""
        self._consumer.pause([TopicPartition(self._topic, partition.number)])
        partition.paused = True

    def resume(self, partition: Partition) -> None:
        """Fetches it again."""
        self._consumer.resume([TopicPartition(self._topic, partition.number)])
        partition.paused = False

    def commit(self, positions: Mapping[int, tuple[int, str]]) -> None:
        """Commits offset and metadata of each partition, and waits. Raises Fenced, Retryable or Misconfigured."""
        group.commit(self._consumer, self._topic, positions)

    def others_behind(self) -> bool:
        """Whether a partition of another member has records that are not stored. Raises Retryable or Misconfigured."""
        return bool(group.behind(self._consumer, self._topic, apart_from=self.partitions))

    def keeps_metadata(self) -> bool:
        """Whether the broker still has the metadata of a commit. Raises Retryable or Misconfigured."""
        places = [TopicPartition(self._topic, number) for number in self.partitions]
        return any(standing.log is not None for standing in group.committed(self._consumer, places).values())

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            consumer.incremental_assign(partitions if self._closing else self._starts(consumer, partitions))
            # librdkafka keeps a pause over a rebalance; these partitions are new here and hold nothing.
            consumer.resume(partitions)
        except Exception as error:  # noqa: BLE001 - see the top
            self._keep(error)

    def _starts(self, consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
        self.rebalances += 1
        standings = group.committed(consumer, partitions)
        foreign = any(standing.log is None and standing.offset >= 0 for standing in standings.values())
        stored_to = self._stored_to() if foreign else {}
        same_log, offsets, fresh = {}, dict[int, int](), list[int]()
        for number, standing in standings.items():
            start = start_of(standing, self._identity.log, stored_to.get(number))
            if start.trouble is not None:
                self._tell(number, standing, start.trouble, stored_to.get(number))
            if start.offset is None:
                fresh.append(number)
            else:
                same_log[number], offsets[number] = standing, start.offset
        offsets |= group.beginnings(consumer, self._topic, fresh)
        rebuilds = to_rebuild(same_log)
        for number, offset in offsets.items():
            announced = same_log[number].intents if number in same_log else ()
            self.partitions[number] = Partition(self._topic, number, max(offset, 0), announced)
        self.rebuilds.extend(rebuilds)
        if rebuilds:
            _log.info(
                "taking up announced batches", slices=[str(one) for rebuild in rebuilds for one in rebuild.intent]
            )
        _log.info("partitions assigned", partitions=sorted(standings))
        return [TopicPartition(self._topic, number, offset) for number, offset in offsets.items()]

    def _tell(self, number: int, standing: Standing, trouble: Trouble, stored_to: int | None) -> None:
        facts = {"partition": number, "committed": standing.offset, "stored_to": stored_to}
        if trouble is Trouble.SET_BACK:
            _log.warning(trouble.value, **facts)
        else:
            _log.error(f"RECORDS ARE MISSING: {trouble.value}; look with `taximeter audit --ingest`", **facts)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [place.partition for place in partitions]
        try:
            if not self._closing:
                self._leaving(numbers)
            _log.info("partitions given back", partitions=sorted(numbers))
        except Exception as error:  # noqa: BLE001 - see the top
            self._keep(error)
        self._drop(consumer, partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._drop(consumer, partitions)
        try:
            _log.warning("partitions lost", partitions=sorted(place.partition for place in partitions))
        except Exception as error:  # noqa: BLE001 - see the top
            self._keep(error)

    def _drop(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            numbers = [place.partition for place in partitions]
            self._gone(numbers)
            for number in numbers:
                self.partitions.pop(number, None)
            self.rebuilds = without(self.rebuilds, numbers)
        except Exception as error:  # noqa: BLE001 - see the top
            self._keep(error)
        try:
            # librdkafka waits for this, in a close without end.
            consumer.incremental_unassign(partitions)
        except KafkaException as error:
            self._keep(group.told(error.args[0]))

    def _keep(self, error: Exception) -> None:
        self._failure = self._failure or error

    def _start_over(self, partition: Partition) -> None:
        """The next offset is no longer in the log: retention was faster than the sink, or the topic is new."""
        # Before anything in hand is dropped: of a deleted log it is nowhere else.
        if self._identity.is_another():
            raise group.LogGone("the topic was deleted and made anew under its name")
        place = TopicPartition(self._topic, partition.number)
        try:
            low, high = self._consumer.get_watermark_offsets(place, timeout=15)
            if low < partition.next_offset and not partition.idle:
                raise group.LogGone(f"the log of partition {partition.number} is not the one that was read")
            self._consumer.incremental_unassign([place])
            self._consumer.incremental_assign([TopicPartition(self._topic, partition.number, low)])
        except KafkaException as error:
            raise group.told(error.args[0]) from error
        _log.error(
            "RECORDS ARE MISSING: the offset to read next is not in the log any more; going on at its beginning."
            " Look with `taximeter audit --ingest`, and give the topic more retention",
            partition=partition.number,
            missing_from=partition.next_offset,
            log_begins=low,
            log_ends=high,
        )
        if low >= partition.next_offset:
            partition.skip_to(low)
        else:
            # Another log, or one that lost its end.
            fresh = Partition(self._topic, partition.number, low)
            fresh.paused = partition.paused
            self.partitions[partition.number] = fresh
            self.rebuilds = without(self.rebuilds, {partition.number})
