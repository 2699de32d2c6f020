"""Dead letters: records that could not be stored, kept as they were, with the reason in their headers.

A dead letter is written before its batch counts as stored. A write that fails stops the partition and is tried again;
it never drops. A crash between the write and the commit writes it twice, under the same source coordinates.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, Producer

from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Message

    from taximeter_schemas.errors import Poison
    from taximeter_schemas.settings import KafkaSettings

Headers = list[tuple[str, str | bytes | None]]


@dataclass(frozen=True)
class DeadLetter:
    """One bad record and why."""

    message: Message
    poison: Poison

    def headers(self, attempts: int, at: datetime) -> Headers:
        """The original headers, then ours. The error names no part of the payload."""
        ours = {
            "taximeter-reason": self.poison.reason,
            "taximeter-error": str(self.poison),
            "taximeter-source-topic": self.message.topic() or "",
            "taximeter-source-partition": str(self.message.partition()),
            "taximeter-source-offset": str(self.message.offset()),
            "taximeter-attempts": str(attempts),
            "taximeter-time": at.isoformat(timespec="milliseconds"),
        }
        kept = self.message.headers() or []
        original: Headers = list(kept.items()) if isinstance(kept, dict) else list(kept)
        return [*original, *ours.items()]


class DeadLetterWriter:
    """Writes dead letters to their topic and waits for the broker's word. One may be shared by threads."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._topic = topic
        self._producer = Producer(
            {
                **kafka.client_config(),
                "client.id": "taximeter-dead-letters",
                "enable.idempotence": True,
                "message.timeout.ms": 30_000,
            },
            logger=logging.getLogger("taximeter.kafka"),
        )

    def write(self, letters: Sequence[DeadLetter], attempts: int) -> None:
        """Returns when all are acknowledged. Raises Retryable when one is not; all may then be written again."""
        failures: list[KafkaError] = []
        at = datetime.now(UTC)

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        try:
            for letter in letters:
                self._producer.produce(
                    self._topic,
                    value=letter.message.value(),
                    key=letter.message.key(),
                    headers=letter.headers(attempts, at),
                    on_delivery=delivered,
                )
                self._producer.poll(0)
        except (BufferError, KafkaException) as error:
            raise Retryable(f"the dead letters of {self._topic} cannot be queued") from error
        if self._producer.flush(35) or failures:
            name = failures[0].name() if failures else "timed out"
            raise Retryable(f"the dead-letter topic {self._topic} did not take a record ({name})")

    def close(self) -> None:
        """Waits a little for what is still on its way."""
        self._producer.flush(5)
