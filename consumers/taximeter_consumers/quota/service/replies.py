"""Answers and facts to Kafka, at once: idempotent, without a batch's wait, outside of any transaction.

An answer that is lost with its process is given again by the next, as long as no checkpoint has its command. Where one
has, and where Kafka does not take an answer (that is counted), who waited asks again with the same ids.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import KafkaException

from taximeter_consumers.kafka_errors import translate
from taximeter_consumers.quota.service import clients
from taximeter_consumers.quota.service.parcels import parcels
from taximeter_schemas.errors import Fenced, Misconfigured, Retryable
from taximeter_schemas.quota.commands import encoded
from taximeter_schemas.quota.subject import partition_of

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

    from taximeter_consumers.quota.service.counters import QuotaCounters
    from taximeter_schemas.errors import TaximeterError
    from taximeter_schemas.quota.answers import Answer
    from taximeter_schemas.quota.commands import Facts
    from taximeter_schemas.settings import KafkaSettings, TopicSettings

_log = structlog.get_logger()
_ROOM_SECONDS: Final = 0.1
_PATIENCE: Final = 20
_TELL_SECONDS: Final = 1.0


class Replies:
    """One producer, for several threads. `partitions`: of the commands and of the answers."""

    def __init__(
        self, kafka: KafkaSettings, topics: TopicSettings, partitions: tuple[int, int], counters: QuotaCounters
    ) -> None:
        self._producer = clients.answering(kafka)
        self._topics = topics
        self._of_commands, self._of_answers = partitions
        self._counters = counters
        self._failure: TaximeterError | None = None
        self._tell_at = 0.0
        self.facts_lost = 0
        """How many records of facts did not arrive: whoever sees it grow tells or asks everything again."""

    def answer(self, answer: Answer, answer_to: int) -> None:
        """Sends an answer to the partition on which its caller listens; drops it where there is no such."""
        self._counters.replies[answer.status.value] = self._counters.replies.get(answer.status.value, 0) + 1
        if answer_to >= self._of_answers:
            self._counters.unsent += 1
            return
        self._produce(self._topics.quota_answers, answer_to, answer.caller, answer.encoded())

    def facts(self, facts: Facts) -> None:
        """Sends facts to the partition of their root; large ones in several records."""
        for parcel in parcels(facts):
            self._counters.facts += 1
            partition = partition_of(parcel.root, self._of_commands)
            self._produce(self._topics.quota_commands, partition, parcel.root, encoded(parcel))

    def serve(self) -> None:
        """Takes what Kafka says of what was sent. Raises Retryable or Misconfigured when nothing more can be sent."""
        self._producer.poll(0)
        if self._failure is not None:
            raise self._failure

    def close(self, timeout_seconds: float) -> None:
        """Sends what is left, for as long."""
        self._producer.flush(timeout_seconds)

    def _produce(self, topic: str, partition: int, key: str, value: bytes) -> None:
        for _ in range(_PATIENCE):
            try:
                self._producer.produce(
                    topic, value=value, key=key.encode(), partition=partition, on_delivery=self._delivered
                )
            except BufferError:
                self._producer.poll(_ROOM_SECONDS)
            except KafkaException as error:
                self._not_sent(error.args[0], topic)
                return
            else:
                return
        self._lost(topic)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._not_sent(error, message.topic() or "")

    def _not_sent(self, error: KafkaError, topic: str) -> None:
        self._lost(topic)
        translated = translate(error)
        if error.fatal() or isinstance(translated, Misconfigured | Fenced):
            self._failure = self._failure or (
                translated if isinstance(translated, Misconfigured) else Retryable(str(translated))
            )
        now = time.monotonic()
        if now >= self._tell_at:
            self._tell_at = now + _TELL_SECONDS
            _log.warning("not sent", topic=topic, error=str(translated), unsent=self._counters.unsent)

    def _lost(self, topic: str) -> None:
        if topic == self._topics.quota_commands:
            self.facts_lost += 1
        else:
            self._counters.unsent += 1
