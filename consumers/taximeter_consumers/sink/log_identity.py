"""Which log a topic's name stands for: Kafka gives every topic an identity when it is created.

A topic that is deleted and created anew has the same name and offsets that begin again, so an offset alone says too
little. The identity is asked when a membership begins and every few seconds after that, on the side. A broker that has
no identities answers none, and then nothing is compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from taximeter_consumers.kafka_client import QUIET
from taximeter_consumers.kafka_errors import translate
from taximeter_consumers.sink.group import told
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from confluent_kafka import KafkaError
    from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, though its stubs do not re-export it
        TopicDescription,
    )

    from taximeter_schemas.errors import TaximeterError
    from taximeter_schemas.settings import KafkaSettings

_EVERY_SECONDS = 3.0
_TIMEOUT_SECONDS = 10.0
# What a broker says that knows no identities.
_NONE = "AAAAAAAAAAAAAAAAAAAAAA"


class LogIdentity:
    """The log behind a topic's name, as it was when this was opened."""

    def __init__(self, kafka: KafkaSettings, topic: str, *, seen: bool) -> None:
        """Asks the broker, and waits; `seen`: the topic was there before.

        Raises Retryable, and for a topic that is missing LogGone if it was seen, else Misconfigured.
        """
        self._topic = topic
        self._admin = AdminClient({**kafka.client_config(), "client.id": "taximeter-sink-topics"}, logger=QUIET)
        description = self._described(told if seen else translate)
        self.log = _identity(description)
        self.partitions = len(description.partitions)
        self._asked: Future[TopicDescription] | None = None
        self._ask_at = 0.0

    def has_changed(self, now: float) -> bool:
        """Whether the name stands for another log by now. Never waits; `now` is a monotonic clock in seconds."""
        if self._asked is None:
            if now >= self._ask_at:
                self._ask_at = now + _EVERY_SECONDS
                self._asked = self._ask()
            return False
        if not self._asked.done():
            return False
        asked, self._asked = self._asked, None
        # A topic that cannot be described is missing or out of reach: the consumer says which.
        if asked.exception() is not None:
            return False
        described = asked.result()
        self.partitions = len(described.partitions)
        current = _identity(described)
        return bool(self.log and current and current != self.log)

    def is_another(self) -> bool:
        """Whether the name stands for another log now. Waits. Raises LogGone, Retryable or Misconfigured."""
        current = _identity(self._described(told))
        return bool(self.log and current and current != self.log)

    def _described(self, translated: Callable[[KafkaError], TaximeterError]) -> TopicDescription:
        try:
            return self._ask().result(_TIMEOUT_SECONDS + 5)
        except KafkaException as error:
            raise translated(error.args[0]) from error
        except TimeoutError as error:
            raise Retryable("Kafka does not say what the topic is") from error

    def _ask(self) -> Future[TopicDescription]:
        answers = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=_TIMEOUT_SECONDS)
        return answers[self._topic]


def _identity(description: TopicDescription) -> str:
    identity = str(description.topic_id)
    return "" if identity == _NONE else identity
