"""What every Kafka client of a command needs: silence on standard error, and its first refusals in our words."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from taximeter_schemas.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer

    from taximeter_schemas.settings import KafkaSettings

LOOK_SECONDS = 15.0

# librdkafka would otherwise write its own lines between ours.
QUIET = logging.getLogger("taximeter.kafka.client")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


def refused_settings(error: KafkaException) -> Misconfigured:
    """The error for a client that could not be made."""
    return Misconfigured(
        f"the Kafka client refuses its settings: {error.args[0].str()}", mend="look at the KAFKA_* variables"
    )


def partitions_of(client: Consumer | Producer, kafka: KafkaSettings, topic: str, *, mend: str) -> frozenset[int]:
    """The topic's partitions. Raises Misconfigured (with `mend`) where it does not exist, Retryable in silence."""
    try:
        topics = client.list_topics(timeout=LOOK_SECONDS).topics
    except KafkaException as error:
        raise Retryable(
            f"Kafka at {kafka.bootstrap_servers} does not answer ({error.args[0].name()});"
            " start the local stack with `taximeter up`, or set KAFKA_BOOTSTRAP_SERVERS"
        ) from error
    if topic not in topics:
        raise Misconfigured(f"the topic {topic} does not exist on {kafka.bootstrap_servers}", mend=mend)
    return frozenset(topics[topic].partitions)
