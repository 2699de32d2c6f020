"""The sink's membership in its consumer group: librdkafka, with its errors in our words."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from taximeter_consumers.kafka_errors import translate
from taximeter_consumers.sink.intent import Standing, from_metadata
from taximeter_schemas.errors import Retryable, TaximeterError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from confluent_kafka import KafkaError

    from taximeter_consumers.sink.settings import SinkSettings
    from taximeter_schemas.settings import KafkaSettings

_JOIN_MS: Final = 60_000
_LOOK_SECONDS: Final = 5.0
_NO_PATIENCE_SECONDS: Final = 0.2
_GONE: Final = frozenset({"UNKNOWN_TOPIC_OR_PART", "UNKNOWN_TOPIC_ID", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"})


class LogGone(Retryable):
    """The log that was being read is not there any more, so what is in hand is nowhere else."""


def told(error: KafkaError) -> TaximeterError:
    """The error of ours for one of librdkafka's about a topic that was there before."""
    if error.name() in _GONE:
        return LogGone("the topic, or a partition of it, is gone; create it with `taximeter topics create`")
    return translate(error)


def open_consumer(kafka: KafkaSettings, sink: SinkSettings) -> Consumer:
    """A consumer that commits nothing by itself and starts nowhere by itself."""
    config: dict[str, str | int | bool] = {
        **kafka.client_config(),
        "client.id": "taximeter-sink",
        "group.id": sink.group_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": sink.session_timeout_ms,
        "heartbeat.interval.ms": max(sink.session_timeout_ms // 4, 250),
        # So long, too, librdkafka waits for a coordinator that lost its question about joining on its own way. The loop
        # may wait for the last inserts, or once for ClickHouse's word on where to go on: who waits longer has nothing
        # to store, and joins anew.
        "max.poll.interval.ms": sink.session_timeout_ms + int(sink.stop_timeout_seconds * 1_000) + _JOIN_MS,
        "fetch.wait.max.ms": 100,
        "queued.max.messages.kbytes": max(sink.memory_bytes // 8192, 1024),
        # Once that is full, librdkafka asks for no more for a whole second, which empties it and lets a backlog stall.
        "fetch.queue.backoff.ms": 20,
    }
    if sink.instance_id is not None:
        config["group.instance.id"] = sink.instance_id
    return Consumer(config, logger=logging.getLogger("taximeter.kafka"))


def committed(consumer: Consumer, partitions: Iterable[TopicPartition]) -> dict[int, Standing]:
    """Where each partition stands. Raises Retryable, LogGone or Misconfigured."""
    try:
        found = consumer.committed(list(partitions), timeout=15)
    except KafkaException as error:
        raise told(error.args[0]) from error
    for entry in found:
        if entry.error is not None:
            raise told(entry.error)
    return {entry.partition: from_metadata(entry.metadata, entry.partition, entry.offset) for entry in found}


def beginnings(consumer: Consumer, topic: str, numbers: Iterable[int]) -> dict[int, int]:
    """Where the logs of partitions begin now; where the broker does not say, librdkafka is left to ask.

    Asked here, because librdkafka, told to begin at "the beginning", takes a late answer about that for the place to go
    on at, though it was told an offset by then. One partition without a leader keeps nobody from the others."""
    found, patience = {}, _LOOK_SECONDS
    for number in numbers:
        try:
            low, _ = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=patience)
        except KafkaException:
            low, patience = OFFSET_BEGINNING, _NO_PATIENCE_SECONDS
        found[number] = low
    return found


def behind(consumer: Consumer, topic: str, apart_from: Container[int]) -> list[int]:
    """The partitions whose committed offset has not reached the log's end. Raises Retryable or Misconfigured."""
    try:
        found = consumer.list_topics(topic, timeout=15).topics[topic]
        if found.error is not None:
            raise told(found.error)
        places = [TopicPartition(topic, number) for number in found.partitions if number not in apart_from]
        ends = {place.partition: consumer.get_watermark_offsets(place, timeout=15) for place in places}
    except KafkaException as error:
        raise told(error.args[0]) from error
    late = []
    for number, standing in (committed(consumer, places) if places else {}).items():
        low, high = ends[number]
        if max(standing.offset, low) < high:
            late.append(number)
    return late


def commit(consumer: Consumer, topic: str, positions: Mapping[int, tuple[int, str]]) -> None:
    """Commits offset and metadata of each partition, and waits. Raises Fenced, Retryable or Misconfigured."""
    offsets = [
        TopicPartition(topic, partition, offset, metadata) for partition, (offset, metadata) in positions.items()
    ]
    try:
        answer: Sequence[TopicPartition] = consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as error:
        raise told(error.args[0]) from error
    for entry in answer:
        if entry.error is not None:
            raise told(entry.error)
