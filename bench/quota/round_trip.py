"""One produce and consume round trip: the least that anything through this broker can take.

The same settings as the quota client's: idempotent, acknowledged by all, no lingering; the reader waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.quota.service import TOPICS
from taximeter.quota.line import CONSUMER, PRODUCER
from taximeter_schemas.settings import KafkaSettings


class RoundTrip:
    """`once` sends a record of `size` bytes to the answers' topic and waits until it is read: seconds."""

    def __init__(self, producer: Producer, consumer: Consumer) -> None:
        self._producer, self._consumer = producer, consumer

    def once(self, size: int = 400) -> float:
        """Raises RuntimeError when nothing comes back."""
        key = uuid4().hex.encode()
        body = b"x" * size
        began = time.perf_counter()
        self._producer.produce(TOPICS.quota_answers, body, key, 0)
        while time.perf_counter() - began < 30:
            message = self._consumer.poll(1.0)
            if message is not None and message.key() == key:
                taken = time.perf_counter() - began
                self._producer.poll(0)
                return taken
        raise RuntimeError("the record did not come back")


@contextmanager
def round_trips(kafka: KafkaSettings) -> Iterator[RoundTrip]:
    """Connected, and used once."""
    producer = Producer({**PRODUCER, **kafka.client_config()})
    consumer = Consumer({**CONSUMER, "group.id": "bench", **kafka.client_config()})
    here = TopicPartition(TOPICS.quota_answers, 0)
    here.offset = consumer.get_watermark_offsets(here, timeout=30)[1]
    consumer.assign([here])
    try:
        trip = RoundTrip(producer, consumer)
        trip.once()
        yield trip
    finally:
        consumer.close()
        producer.flush(10)
