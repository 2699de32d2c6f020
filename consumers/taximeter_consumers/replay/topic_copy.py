"""Copying messages into another topic: key, value and headers untouched.

`finish` returns when every copy is acknowledged. A crash in between leaves some copies; a second replay sends them
again, and the events' ids collapse them in storage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, Producer

from taximeter_consumers.kafka_client import QUIET, partitions_of, refused_settings
from taximeter_consumers.kafka_errors import translate
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

    from taximeter_consumers.archive.message import ReadMessage
    from taximeter_schemas.event import MeterEvent
    from taximeter_schemas.settings import KafkaSettings

_FLUSH_SECONDS = 90.0


class TopicCopy:
    """Sends copies to one topic. Raises Misconfigured when it does not exist, Retryable when nobody answers."""

    wants_events = False

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._topic = topic
        self._failures: list[KafkaError] = []
        try:
            self._producer = Producer(
                {
                    "client.id": "taximeter-replay",
                    "compression.type": "lz4",
                    "linger.ms": 20,
                    "queue.buffering.max.kbytes": 65_536,
                    "message.timeout.ms": 60_000,
                    **kafka.client_config(),
                    "enable.idempotence": True,
                    "acks": "all",
                },
                logger=QUIET,
            )
        except KafkaException as error:
            raise refused_settings(error) from error
        partitions_of(self._producer, kafka, topic, mend="create it, then replay into it")

    def write(self, message: ReadMessage, _event: MeterEvent | None, /) -> None:
        """Hand one copy to the client, waiting while its queue is full."""
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    key=message.key(),
                    value=message.value(),
                    headers=message.headers(),
                    on_delivery=self._delivered,
                )
            except BufferError:
                self._producer.poll(0.1)
                self._raise_failure()
                continue
            except KafkaException as error:
                raise translate(error.args[0]) from error
            self._producer.poll(0)
            return

    def finish(self) -> None:
        """Wait for every acknowledgement. Raises Retryable or Misconfigured when one does not come."""
        left = self._producer.flush(_FLUSH_SECONDS)
        self._raise_failure()
        if left:
            raise Retryable(f"{left} copies were not acknowledged by {self._topic}; replay the range again")

    def keep(self) -> None:
        """Wait for every acknowledgement so far: what is noted as sent is in the topic."""
        self.finish()

    def abandon(self) -> None:
        """Stop sending; what is in the topic stays."""
        self._producer.purge()

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None and len(self._failures) < 10:
            self._failures.append(error)

    def _raise_failure(self) -> None:
        if self._failures:
            raise translate(self._failures[0])
