"""What every Kafka client of a command needs: silence on standard error, and its first refusals in our words."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException

from taximeter_consumers.kafka_errors import MISCONFIGURED, translate
from taximeter_schemas.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Producer

    from taximeter_schemas.settings import KafkaSettings

LOOK_SECONDS = 15.0
TURN_SECONDS: Final = 2.0
# What a client hears while it looks for a broker, and which says why it finds none.
_TELLING: Final = frozenset(["_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "UNSUPPORTED_SASL_MECHANISM", "_SSL"])

# librdkafka would otherwise write its own lines between ours.
QUIET = logging.getLogger("taximeter.kafka.client")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


class Heard:
    """Why a client finds no broker, as far as it was told. Hand it to the client as `error_cb`.

    A broker that refuses a user just closes the connection, and the question runs into its time limit.
    """

    def __init__(self) -> None:
        self.refusal: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """The client's word, kept if it says why."""
        if error.name() in _TELLING:
            self.refusal = error


def refused_settings(error: KafkaException) -> Misconfigured:
    """The error for a client that could not be made."""
    return Misconfigured(
        f"the Kafka client refuses its settings: {error.args[0].str()}", mend="look at the KAFKA_* variables"
    )


def partitions_of(
    client: Consumer | Producer, kafka: KafkaSettings, topic: str, *, mend: str, heard: Heard | None = None
) -> frozenset[int]:
    """The topic's partitions. Raises Misconfigured (with `mend`) where it does not exist, Retryable in silence.

    With `heard`, the `error_cb` of a client that reads nothing yet, a refused user is Misconfigured within seconds.
    """
    topics = _topics(client, kafka) if heard is None else _topics_heard(client, kafka, heard)
    if topic not in topics:
        raise Misconfigured(f"the topic {topic} does not exist on {kafka.bootstrap_servers}", mend=mend)
    return frozenset(topics[topic].partitions)


def _topics(client: Consumer | Producer, kafka: KafkaSettings) -> dict[str, Any]:
    try:
        found: dict[str, Any] = client.list_topics(timeout=LOOK_SECONDS).topics
    except KafkaException as error:
        raise _silent(kafka, error.args[0]) from error
    return found


def _topics_heard(client: Consumer | Producer, kafka: KafkaSettings, heard: Heard) -> dict[str, Any]:
    """Asked in short turns: between them the client says what it has heard."""
    until = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            found: dict[str, Any] = client.list_topics(timeout=TURN_SECONDS).topics
        except KafkaException as error:
            client.poll(0)
            refusal = heard.refusal or error.args[0]
            if refusal.name() in MISCONFIGURED:
                raise translate(refusal) from error
            if time.monotonic() > until:
                raise (_silent(kafka, refusal) if heard.refusal is None else translate(refusal)) from error
        else:
            return found


def _silent(kafka: KafkaSettings, error: KafkaError) -> Retryable:
    return Retryable(
        f"Kafka at {kafka.bootstrap_servers} does not answer ({error.name()});"
        " start the local stack with `taximeter up`, or set KAFKA_BOOTSTRAP_SERVERS"
    )
