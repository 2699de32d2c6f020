"""Reads a topic without leaving a trace: partitions are assigned, no group is joined, no offset is ever committed.

Memory holds one batch of messages and what librdkafka prefetches, which is bounded. A broker that stops answering in
the middle of a range ends the reading with Retryable; nothing has to be cleaned up, the same range can be read again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from taximeter_consumers.kafka_client import LOOK_SECONDS, QUIET, Heard, partitions_of, refused_settings
from taximeter_consumers.kafka_errors import translate
from taximeter_consumers.replay.topic_range import Found, Span, TopicRange, chosen_partitions, resolve
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_schemas.settings import KafkaSettings

BATCH = 1_000
_POLL_SECONDS = 0.2
_STALL_SECONDS = 60.0
_EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - librdkafka's own codes begin with an underscore


class TopicReader:
    """Reads one topic. Raises Misconfigured when it does not exist, Retryable when nobody answers."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self.topic = topic
        heard = Heard()
        config: dict[str, Any] = {
            "queued.max.messages.kbytes": 16_384,
            "fetch.message.max.bytes": 1_048_576,
            "fetch.wait.max.ms": 100,
            **kafka.client_config(),
            "client.id": "taximeter-reader",
            "group.id": f"taximeter-reader-{secrets.token_hex(8)}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "error_cb": heard,
        }
        try:
            self._consumer = Consumer(config, logger=QUIET)
        except KafkaException as error:
            raise refused_settings(error) from error
        mend = "create it with `taximeter topics create`, or name another with --topic"
        self.partitions = partitions_of(self._consumer, kafka, topic, mend=mend, heard=heard)

    def close(self) -> None:
        """Lets go of the connections."""
        self._consumer.close()

    def spans(self, wanted: TopicRange) -> list[Span]:
        """What `wanted` means now, one span for each chosen partition."""
        chosen = chosen_partitions(wanted, self.partitions)
        since = self._offsets_at(wanted.since, chosen)
        until = self._offsets_at(wanted.until, chosen)
        return [
            resolve(wanted, partition, Found(low, high, since[partition], until[partition]))
            for partition, (low, high) in self._ends(chosen).items()
        ]

    def read(self, spans: Sequence[Span]) -> Iterator[Message]:
        """Every message of the spans, in the order of each partition; ends by itself."""
        for batch in self.batches(spans):
            yield from batch

    def batches(self, spans: Sequence[Span]) -> Iterator[list[Message]]:
        """The same some hundreds at a time, each batch of one partition: next to nothing runs once for each message."""
        ends = {span.partition: span.end for span in spans if not span.is_empty}
        self._consumer.assign(
            [TopicPartition(self.topic, span.partition, span.first) for span in spans if not span.is_empty]
        )
        # Looks in vain, not time: whoever takes the messages may be held up for long.
        looks = 0
        while ends:
            taken = self._consumer.consume(BATCH, _POLL_SECONDS)
            looks = 0 if taken else looks + 1
            if looks * _POLL_SECONDS > _STALL_SECONDS:
                raise Retryable(f"Kafka sent nothing of {self.topic} for {_STALL_SECONDS:.0f} s")
            for partition, run in groupby(taken, key=Message.partition):
                if partition is None or partition not in ends:
                    continue
                wanted, is_over = _before(list(run), ends[partition])
                if wanted:
                    yield wanted
                if is_over:
                    del ends[partition]
                    self._consumer.incremental_unassign([TopicPartition(self.topic, partition)])

    def follow(self, from_beginning: bool) -> Iterator[Message | None]:
        """Every message from now on, or from the beginning; None whenever a moment passes without one. Never ends."""
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        self._consumer.assign([TopicPartition(self.topic, partition, start) for partition in sorted(self.partitions)])
        while True:
            message = self._consumer.poll(_POLL_SECONDS)
            error = None if message is None else message.error()
            if error is not None and error.code() != _EOF and not error.retriable():
                raise translate(error)
            yield message if error is None else None

    def _ends(self, partitions: Sequence[int]) -> dict[int, tuple[int, int]]:
        """The first offset of each partition and the one after its last, as a fetch sees them.

        The end that is asked for directly is not enough: Tansu then names the first record of the last batch.
        """
        listed = {partition: self._watermarks(partition, cached=False) for partition in partitions}
        self._consumer.assign([TopicPartition(self.topic, partition, high) for partition, (_, high) in listed.items()])
        waiting, until = set(partitions), time.monotonic() + LOOK_SECONDS
        while waiting:
            if time.monotonic() > until:
                raise Retryable(f"Kafka does not say where partition {min(waiting)} of {self.topic} ends")
            waiting -= {message.partition() for message in self._consumer.consume(BATCH, _POLL_SECONDS)}
        ends = {
            partition: (low, max(high, self._watermarks(partition, cached=True)[1]))
            for partition, (low, high) in listed.items()
        }
        self._consumer.unassign()
        return ends

    def _watermarks(self, partition: int, *, cached: bool) -> tuple[int, int]:
        place = TopicPartition(self.topic, partition)
        try:
            ends = self._consumer.get_watermark_offsets(place, timeout=LOOK_SECONDS, cached=cached)
        except KafkaException as error:
            raise translate(error.args[0]) from error
        if ends is None:
            raise Retryable(f"Kafka does not say where partition {partition} of {self.topic} ends")
        return ends

    def _offsets_at(self, moment: datetime | None, partitions: Sequence[int]) -> dict[int, int | None]:
        """The first offset of each partition that arrived at `moment` or later."""
        if moment is None:
            return dict.fromkeys(partitions)
        millis = int(moment.timestamp() * 1000)
        asked = [TopicPartition(self.topic, partition, millis) for partition in partitions]
        try:
            answers = self._consumer.offsets_for_times(asked, timeout=LOOK_SECONDS)
        except KafkaException as error:
            raise translate(error.args[0]) from error
        for answer in answers:
            if answer.error is not None:
                raise translate(answer.error)
        return {answer.partition: answer.offset if answer.offset >= 0 else None for answer in answers}


def _before(run: list[Message], end: int) -> tuple[list[Message], bool]:
    """The messages of a partition that lie before `end`, and whether nothing before it can follow. Raises what an error
    among them is translated to.

    The word of a partition's end carries the offset after its last record. It counts, because markers of Kafka's own
    at the end are never delivered; one that comes too early (Tansu sends such) does not.
    """
    reached = 0
    if any(map(Message.error, run)):
        for message in run:
            error = message.error()
            if error is not None and error.code() != _EOF:
                raise translate(error)
            if error is not None:
                reached = max(reached, message.offset() or 0)
        run = [message for message in run if message.error() is None]
    if run:
        last = run[-1].offset() or 0
        reached = max(reached, last + 1)
        if last >= end:
            run = [message for message in run if (message.offset() or 0) < end]
    return run, reached >= end
