"""The sink's membership in its consumer group: librdkafka, with its errors in our words."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from taximeter_consumers.sink.intent import Intent, from_metadata
from taximeter_schemas.errors import Fenced, Misconfigured, Retryable, TaximeterError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from taximeter_consumers.sink.settings import SinkSettings
    from taximeter_schemas.settings import KafkaSettings

_FENCED: Final = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError._FENCED,  # noqa: SLF001 - librdkafka's own codes begin with an underscore
    KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001
    KafkaError.FENCED_MEMBER_EPOCH,
    KafkaError.STALE_MEMBER_EPOCH,
}
_MISCONFIGURED: Final = {
    KafkaError._AUTHENTICATION: "look at KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",  # noqa: SLF001
    KafkaError.SASL_AUTHENTICATION_FAILED: "look at KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to read the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "allow this user to use the consumer group",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topics with `taximeter topics create`",
    KafkaError._UNKNOWN_TOPIC: "create the topics with `taximeter topics create`",  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION: "look at the topic's partitions with `taximeter topics describe`",  # noqa: SLF001
    KafkaError.FENCED_INSTANCE_ID: "give every sink an id of its own: TAXIMETER_SINK_INSTANCE_ID",
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: "give the sink a group of its own: TAXIMETER_SINK_GROUP_ID",
}


def translate(error: KafkaError) -> TaximeterError:
    """The error of ours for one of librdkafka's. What is not in a table may pass by itself: Retryable."""
    if error.code() in _FENCED:
        return Fenced(f"another sink owns this work now ({error.name()})")
    if error.code() in _MISCONFIGURED:
        return Misconfigured(f"Kafka says {error.name()}: {error.str()}", mend=_MISCONFIGURED[error.code()])
    return Retryable(f"Kafka says {error.name()}")


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
        "fetch.wait.max.ms": 100,
        "queued.max.messages.kbytes": max(sink.memory_bytes // 8192, 1024),
    }
    if sink.instance_id is not None:
        config["group.instance.id"] = sink.instance_id
    return Consumer(config, logger=logging.getLogger("taximeter.kafka"))


def committed(consumer: Consumer, partitions: Iterable[TopicPartition]) -> dict[int, tuple[int, list[Intent]]]:
    """Where each partition stands: offset (negative: nothing was ever committed) and intents. Raises Retryable."""
    try:
        found = consumer.committed(list(partitions), timeout=15)
    except KafkaException as error:
        raise translate(error.args[0]) from error
    standing: dict[int, tuple[int, list[Intent]]] = {}
    for entry in found:
        if entry.error is not None:
            raise translate(entry.error)
        standing[entry.partition] = (entry.offset, from_metadata(entry.metadata, entry.offset))
    return standing


def behind(consumer: Consumer, topic: str, apart_from: Container[int]) -> list[int]:
    """The partitions whose committed offset has not reached the end of the log. Raises Retryable or Misconfigured."""
    try:
        found = consumer.list_topics(topic, timeout=15).topics[topic]
        if found.error is not None:
            raise translate(found.error)
        places = [TopicPartition(topic, number) for number in found.partitions if number not in apart_from]
        ends = {place.partition: consumer.get_watermark_offsets(place, timeout=15) for place in places}
    except KafkaException as error:
        raise translate(error.args[0]) from error
    late = []
    for number, (offset, _) in (committed(consumer, places) if places else {}).items():
        low, high = ends[number]
        if max(offset, low) < high:
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
        raise translate(error.args[0]) from error
    for entry in answer:
        if entry.error is not None:
            raise translate(entry.error)
