"""Dead letters: records that could not be stored, kept as they were, with the reason in their headers.

A dead letter is written before its batch counts as stored. A write that fails stops the partition and is tried again;
it never drops. A flood of bad records waits for room in the producer's queue. A crash between the write and the commit
writes it twice, under the same source coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, Producer

from taximeter_consumers.kafka_client import QUIET
from taximeter_consumers.kafka_errors import ends_client
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from confluent_kafka import Message

    from taximeter_schemas.errors import Poison
    from taximeter_schemas.settings import KafkaSettings

_TOO_LARGE = "; raise max.message.bytes of the dead-letter topic above that of the events"
_MISSING = "; create it with `taximeter topics create`"
_MENDS = {
    KafkaError.MSG_SIZE_TOO_LARGE: _TOO_LARGE,
    KafkaError.UNKNOWN_TOPIC_OR_PART: _MISSING,
    KafkaError._UNKNOWN_TOPIC: _MISSING,  # noqa: SLF001 - librdkafka's own codes begin with an underscore
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "; allow this user to write to it",
}

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
        self._kafka = kafka
        self._topic = topic
        self._producer = self._open()

    def _open(self) -> Producer:
        return Producer(
            {
                **self._kafka.client_config(),
                "client.id": "taximeter-dead-letters",
                "enable.idempotence": True,
                "message.timeout.ms": 10_000,
                # How large a record may be is the brokers' to say: what they let in must get out.
                "message.max.bytes": 1_000_000_000,
            },
            # The consumer beside it talks to the same brokers, and tells what is wrong with them.
            logger=QUIET,
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
                self._queue(letter, letter.headers(attempts, at), delivered)
        except KafkaException as error:
            raise self._refusal(error.args[0]) from error
        if self._producer.flush(15) or failures:
            raise self._refusal(failures[0] if failures else KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - their name

    def _queue(
        self, letter: DeadLetter, headers: Headers, delivered: Callable[[KafkaError | None, Message], None]
    ) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value=letter.message.value(),
                    key=letter.message.key(),
                    headers=headers,
                    on_delivery=delivered,
                )
            except BufferError:
                # Every queued record ends within the message timeout, so room comes.
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _refusal(self, error: KafkaError) -> Retryable:
        if ends_client(error):
            # An idempotent producer that is fatal stays so.
            self._producer = self._open()
        mend = _MENDS.get(error.code(), "")
        return Retryable(f"the dead-letter topic {self._topic} did not take a record ({error.name()}){mend}")

    def close(self) -> None:
        """Waits a little for what is still on its way."""
        self._producer.flush(5)
