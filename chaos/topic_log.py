"""A topic as it lies in Kafka: every record with its place, read past the consumer group."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from taximeter_consumers.kafka_client import QUIET
from taximeter_schemas.errors import Retryable
from taximeter_schemas.settings import KafkaSettings

Place = tuple[int, int]
"""(partition, offset)."""
_SECONDS = 30.0


@dataclass(frozen=True)
class Record:
    """One record; headers by name, the last of a name. `arrived` is when the broker appended it, Unix milliseconds."""

    partition: int
    offset: int
    value: bytes | None
    headers: Mapping[str, str]
    arrived: int = 0
    key: str = ""

    @property
    def place(self) -> Place:
        """Where it lies."""
        return self.partition, self.offset


def read_topic(kafka: KafkaSettings, topic: str) -> list[Record]:
    """All records of a topic, partition by partition. Raises Retryable when the broker does not answer."""
    config = {
        **kafka.client_config(),
        "group.id": "chaos-reader",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 20,
        "auto.offset.reset": "earliest",
    }
    found: list[Record] = []
    with closing(Consumer(config, logger=QUIET)) as consumer:
        try:
            numbers = consumer.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
            ended: set[int] = set()
            while len(ended) < len(numbers):
                message = consumer.poll(_SECONDS)
                if message is None:
                    raise Retryable(f"the topic {topic} does not answer")
                error = message.error()
                if error is None:
                    found.append(_record(message))
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own name
                    ended.add(message.partition() or 0)
        except KafkaException as error:
            raise Retryable(f"the topic {topic} cannot be read ({error.args[0].name()})") from error
    return sorted(found, key=lambda record: record.place)


def _record(message: Message) -> Record:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    named = {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in pairs}
    partition, offset = message.partition(), message.offset()
    value = message.value()
    kept = value if value is None else bytes(value)
    return Record(partition or 0, offset or 0, kept, named, message.timestamp()[1], _text(message.key()))


def _text(key: str | bytes | None) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else key or ""
