"""Events into Kafka, and the word of all in-sync replicas for each of them before anybody is told that it is there.

A crash between sending and acknowledging leaves it unknown whether an event is there; its id makes sending it again
harmless. Safe across threads: whichever thread polls hands out the reports of all.
"""

from __future__ import annotations

from functools import partial
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException, Producer

from taximeter_consumers.kafka_client import QUIET, refused_settings
from taximeter_consumers.kafka_errors import ends_client, translate
from taximeter_schemas import codec, frame
from taximeter_schemas.errors import Full, Poison, Retryable, TaximeterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import KafkaError, Message

    from taximeter_schemas.event import MeterEvent
    from taximeter_schemas.registry import Registry
    from taximeter_schemas.settings import KafkaSettings

CONTENT_TYPE: Final = b"application/vnd.taximeter.meter-event+avro"
DELIVERY_SECONDS: Final = 8
_GRACE_SECONDS: Final = 2.0
_OURS: Final[dict[str, str | int | bool]] = {
    "client.id": "taximeter-api",
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": 5,
    "message.timeout.ms": DELIVERY_SECONDS * 1_000,
    "log.connection.close": False,
}


class _Waiting:
    """The reports of one call, which come from any thread."""

    def __init__(self, count: int) -> None:
        self.told: list[TaximeterError | None] = [Retryable("Kafka has not acknowledged the event in time")] * count
        self.is_fatal = False
        self._count = count
        self._reported: list[int] = []

    @property
    def is_over(self) -> bool:
        """Whether all have been told of."""
        return len(self._reported) >= self._count

    def report(self, place: int, error: KafkaError | None, _message: Message | None = None) -> None:
        """Once for each place."""
        if error is not None and ends_client(error):
            self.is_fatal = True
        self.tell(place, None if error is None else translate(error))

    def tell(self, place: int, error: TaximeterError | None) -> None:
        """What became of one."""
        self.told[place] = error
        self._reported.append(place)


class KafkaEventSender:
    """Sends to one topic. Kafka need not be there yet. Raises Misconfigured where librdkafka refuses the settings."""

    def __init__(self, kafka: KafkaSettings, topic: str, registry: Registry) -> None:
        self._config: dict[str, Any] = {**_OURS, **kafka.client_config()}
        self._topic = topic
        self._registry = registry
        self._lock = Lock()
        self._producer: Producer | None = None

    def send(self, events: Sequence[MeterEvent]) -> list[TaximeterError | None]:
        """As `EventSender` says. Raises Retryable where the schema registry is away."""
        header = frame.header(self._registry.current_id())
        producer, waiting = self._ready(), _Waiting(len(events))
        for place, event in enumerate(events):
            try:
                producer.produce(
                    self._topic,
                    codec.encode(event, header),
                    key_of(event),
                    headers=[("content-type", CONTENT_TYPE)],
                    on_delivery=partial(waiting.report, place),
                )
            except BufferError:
                waiting.tell(place, Full("the Kafka client's own queue is full"))
            except KafkaException as error:
                waiting.report(place, error.args[0])
            # fastavro raises whatever a value leads it into.
            except Exception as error:  # noqa: BLE001 - one event must not lose the word about all others
                waiting.tell(place, Poison("malformed", f"the event cannot be written ({type(error).__name__})"))
        until = monotonic() + DELIVERY_SECONDS + _GRACE_SECONDS
        # Another thread may take our reports, so no call waits long.
        while not waiting.is_over and monotonic() < until:
            producer.poll(0.005)
        if waiting.is_fatal:
            self._give_up(producer)
        return list(waiting.told)

    def _ready(self) -> Producer:
        with self._lock:
            if self._producer is None:
                try:
                    self._producer = Producer(self._config, logger=QUIET)
                except KafkaException as error:
                    raise refused_settings(error) from error
            return self._producer

    def _give_up(self, producer: Producer) -> None:
        """A fatal error ends a producer; the next call makes another."""
        with self._lock:
            if self._producer is producer:
                self._producer = None

    def close(self) -> None:
        """What is on its way is sent, or given up after its time."""
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.flush(DELIVERY_SECONDS)


def key_of(event: MeterEvent) -> bytes:
    """Events of a run, or of a transaction, stay in order."""
    return (event.run_id or event.transaction_id or str(event.event_id)).encode()
