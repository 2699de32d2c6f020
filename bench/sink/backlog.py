"""The backlog that every path reads: how it comes into Kafka, and what must be stored of it.

`simulate` fills it once. Longer ones are made of the same messages over again: their events are then duplicates, which
storage collapses, so only the sink's ledger counts them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.sites import Site, open_site, require_alive
from taximeter_infra.stack.waiting import wait_until
from taximeter_infra.topics import ensure_topics
from taximeter_schemas import avro_files, frame
from taximeter_schemas.errors import Retryable
from taximeter_schemas.settings import KafkaSettings, TopicSettings

if TYPE_CHECKING:
    from pathlib import Path

    from taximeter_infra.stack.plan import StackAddresses

_FILL_SECONDS = 3_600.0
_READ = 10_000
# Large requests, compressed.
PRODUCER = {"linger.ms": 5, "compression.type": "lz4", "queue.buffering.max.messages": 1_000_000}


@dataclass(frozen=True)
class Message:
    """A message as it lies in the log; `arrived_ms` is the broker's time."""

    partition: int
    offset: int
    arrived_ms: int
    key: bytes | None
    value: bytes


@dataclass(frozen=True)
class Expected:
    """What must be stored: counted by fastavro, not by the engine; the digest of all rows as soon as it is known."""

    events: int
    input_tokens: int
    digest: str = ""


def topics_of(addresses: StackAddresses, name: str, partitions: int) -> TopicSettings:
    """New topics of that name."""
    topics = TopicSettings(events=name, dead_letters=f"{name}.dlq", partitions=partitions)
    ensure_topics(kafka_of(addresses), topics)
    return topics


def kafka_of(addresses: StackAddresses) -> KafkaSettings:
    """How to reach the broker."""
    return KafkaSettings(bootstrap_servers=addresses.bootstrap_servers)


def fill(site_name: str, addresses: StackAddresses, topics: TopicSettings, events: int) -> None:
    """Puts seeded events into the topic. Raises Retryable."""
    with open_site(site_name, addresses, topics) as site:
        _simulate(site, events)


def _simulate(site: Site, events: int) -> None:
    child = site.start("simulate", "--events", str(events), "--seed", "11")
    if not wait_until(lambda: child.exit_code is not None, _FILL_SECONDS):
        raise Retryable(f"the backlog does not fill; look at {child.spec.log}")
    require_alive(child)


def read(kafka: KafkaSettings, topic: str, most: int) -> Iterator[Message]:
    """The messages of a topic from its beginning, up to `most`; it ends at the log's end too. Raises Retryable."""
    config: dict[str, Any] = {**kafka.client_config(), "group.id": "bench-reader"}
    consumer = Consumer({**config, "enable.auto.commit": False, "enable.partition.eof": False})
    try:
        numbers = consumer.list_topics(topic, timeout=15).topics[topic].partitions
        ends = {number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=15) for number in numbers}
        left = min(most, sum(high - low for low, high in ends.values()))
        consumer.assign([TopicPartition(topic, number, low) for number, (low, _) in ends.items()])
        while left:
            got = consumer.consume(min(_READ, left), 10.0)
            if not got or got[0].error() is not None:
                raise Retryable(f"{topic} cannot be read to its end")
            for one in got:
                value = one.value() or b""
                key = one.key()
                raw = key.encode() if isinstance(key, str) else key
                yield Message(one.partition() or 0, one.offset() or 0, one.timestamp()[1], raw, value)
            left -= len(got)
    finally:
        consumer.close()


def copy(addresses: StackAddresses, messages: list[Message], topic: str, count: int) -> None:
    """`count` messages into a topic: those given, over and over, each under its own key. Raises Retryable."""
    producer = Producer({**kafka_of(addresses).client_config(), **PRODUCER})
    produce(producer, messages, topic, count)
    if producer.flush(120):
        raise Retryable("the broker does not take the backlog")


def produce(producer: Producer, messages: list[Message], topic: str, count: int) -> None:
    """Hands them to the producer, which may hold some of them still."""
    for number, message in enumerate(islice(cycle(messages), count)):
        if number % 10_000 == 0:
            producer.poll(0)
        send(producer, topic, message)


def send(producer: Producer, topic: str, message: Message) -> None:
    """Hands one over; waits where the producer is full."""
    while True:
        try:
            producer.produce(topic, message.value, message.key)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def expectation(messages: Iterator[Message], note: Callable[[Message], None]) -> Expected:
    """What the messages hold; each is noted on the way."""
    schema, events, tokens = avro_files.parsed(avro_files.CURRENT_VERSION), 0, 0
    for message in messages:
        _, body = frame.split(message.value)
        event: Any = fastavro.schemaless_reader(io.BytesIO(body), schema, None)
        events += 1
        tokens += event["ai"]["input_tokens"] if event["ai"] else 0
        note(message)
    return Expected(events, tokens)


def write_limit_file(path: Path, addresses: StackAddresses, topic: str) -> Expected:
    """The same rows as one Avro file for `limit`, and what must be stored of them."""
    from bench.sink import limit

    kept: list[tuple[int, int, int, bytes]] = []

    def note(message: Message) -> None:
        body = message.value[frame.HEADER_SIZE :]
        kept.append((message.partition, message.offset, message.arrived_ms, body))

    expected = expectation(read(kafka_of(addresses), topic, 2**62), note)
    limit.write_file(path, avro_files.schema_of(avro_files.CURRENT_VERSION), kept)
    return expected
