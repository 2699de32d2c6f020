"""Simulated events on their way into Kafka, as the SDK would send them.

A run returns when every event that was handed to the client has its answer. A crash leaves the events that were
acknowledged; the same plan sent again brings the same ids, which storage collapses. An interrupt stops the making of
events, waits for the answers that are due, and says how many there were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, Producer

from taximeter_consumers.kafka_client import QUIET, partitions_of, refused_settings
from taximeter_schemas import codec, frame
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

    from taximeter_schemas.event import MeterEvent
    from taximeter_schemas.registry import Registry
    from taximeter_schemas.settings import KafkaSettings

CONTENT_TYPE = "application/vnd.taximeter.meter-event+avro"
_FLUSH_SECONDS = 60.0
_POLL_EVERY = 200


@dataclass(frozen=True)
class Pacing:
    """When the n-th event may go: `rate` events a second, or the events' own times `speed` times faster, or at once."""

    rate: float = 0.0
    speed: float = 0.0

    def due(self, index: int, into_simulation: float) -> float:
        """Seconds after the start; `into_simulation` is the event's distance from the first one, in seconds."""
        if self.rate > 0:
            return index / self.rate
        return into_simulation / self.speed if self.speed > 0 else 0.0


@dataclass
class Sent:
    """What came of it. `failed` counts events that the broker never acknowledged; `reason` is the first one's."""

    produced: int = 0
    acknowledged: int = 0
    failed: int = 0
    reason: str = ""
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def unacknowledged(self) -> int:
        """Events that were handed to the client and are not known to be in Kafka."""
        return self.produced - self.acknowledged

    def on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        """librdkafka's word on one event."""
        if error is None:
            self.acknowledged += 1
        else:
            self.failed += 1
            self.reason = self.reason or f"{error.name()}: {error.str()}"


class EventSender:
    """Sends events to one topic. Raises Misconfigured when the topic is missing, Retryable when nobody answers."""

    def __init__(self, kafka: KafkaSettings, registry: Registry, topic: str) -> None:
        self._topic = topic
        self._header = frame.header(registry.current_id())
        self._headers: list[tuple[str, str | bytes | None]] = [
            ("content-type", CONTENT_TYPE.encode()),
            ("taximeter-sdk", _version().encode()),
        ]
        try:
            self._producer = Producer(
                {
                    "client.id": "taximeter-simulate",
                    "enable.idempotence": True,
                    "acks": "all",
                    "compression.type": "lz4",
                    "linger.ms": 20,
                    "message.timeout.ms": 60_000,
                    **kafka.client_config(),
                },
                logger=QUIET,
            )
        except KafkaException as error:
            raise refused_settings(error) from error
        partitions_of(self._producer, kafka, topic, mend="create it with `taximeter topics create`")

    def send(self, events: Iterable[MeterEvent], pacing: Pacing, on_progress: Callable[[int], None]) -> Sent:
        """Sends all events in their order. `on_progress` is told now and then how many are acknowledged."""
        sent = Sent()
        began = time.monotonic()
        try:
            self._produce(events, pacing, sent, on_progress)
        except KeyboardInterrupt:
            sent.interrupted = True
        # A second interrupt ends the wait; the answers that came until then are counted.
        with suppress(KeyboardInterrupt):
            until = time.monotonic() + _FLUSH_SECONDS
            while self._producer.flush(0.2) and time.monotonic() < until:
                on_progress(sent.acknowledged)
        sent.seconds = time.monotonic() - began
        on_progress(sent.acknowledged)
        return sent

    def _produce(
        self, events: Iterable[MeterEvent], pacing: Pacing, sent: Sent, on_progress: Callable[[int], None]
    ) -> None:
        paced = pacing.rate > 0 or pacing.speed > 0
        first = None
        began = time.monotonic()
        for event in events:
            if paced:
                first = first or event.occurred_at
                due = pacing.due(sent.produced, (event.occurred_at - first).total_seconds())
                self._wait_until(began + due)
            self._hand_over(event, sent)
            if paced or sent.produced % _POLL_EVERY == 0:
                self._producer.poll(0)
                on_progress(sent.acknowledged)

    def _hand_over(self, event: MeterEvent, sent: Sent) -> None:
        key, value = event.run_id.encode(), codec.encode(event, self._header)
        while True:
            try:
                self._producer.produce(
                    self._topic, key=key, value=value, headers=self._headers, on_delivery=sent.on_delivery
                )
            except BufferError:
                self._producer.poll(0.1)
                continue
            except KafkaException as error:
                raise Retryable(f"Kafka takes no more events ({error.args[0].name()})") from error
            sent.produced += 1
            return

    def _wait_until(self, moment: float) -> None:
        while (left := moment - time.monotonic()) > 0:
            self._producer.poll(min(left, 0.2))


def _version() -> str:
    try:
        return f"simulate/{version('taximeter')}"
    except PackageNotFoundError:
        return "simulate/unknown"
