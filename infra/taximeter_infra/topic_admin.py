"""The client that makes, describes and alters topics, with its errors in our words.

A broker that refuses a user just closes the connection, and the question then runs into its time limit. So a question
is asked in short turns, and between them the client says what it has heard: a wrong password is told at once, with its
mend. Nothing is kept; every call may be repeated.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, though its stubs do not re-export all
    AdminClient,
    ConfigResource,
    OffsetSpec,
)

from taximeter_consumers.kafka_client import QUIET, TURN_SECONDS, Heard, refused_settings
from taximeter_consumers.kafka_errors import HINTS
from taximeter_consumers.kafka_errors import MISCONFIGURED as REFUSALS
from taximeter_schemas.errors import Misconfigured, Retryable, TaximeterError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka import KafkaError
    from confluent_kafka.admin import ClusterMetadata  # type: ignore[attr-defined]  # the same

    from taximeter_schemas.settings import KafkaSettings

TIMEOUT_SECONDS: Final = 15.0

_RIGHTS: Final = (
    "give this user the rights of taximeter-topics in infra/kafka/acls.csv, or let somebody do it who has them"
)
_REPLICAS: Final = "set TAXIMETER_TOPIC_REPLICATION_FACTOR, or default.replication.factor, to what the brokers can hold"
_MENDS: Final = {
    "TOPIC_AUTHORIZATION_FAILED": _RIGHTS,
    "CLUSTER_AUTHORIZATION_FAILED": _RIGHTS,
    "INVALID_PARTITIONS": "choose another TAXIMETER_TOPIC_PARTITIONS or TAXIMETER_TOPIC_QUOTA_PARTITIONS",
    "INVALID_REPLICATION_FACTOR": _REPLICAS,
    "POLICY_VIOLATION": "create the topics by the rules of this cluster; Taximeter takes them as they are",
    "TOPIC_EXCEPTION": "choose another name: look at the TAXIMETER_TOPIC_* variables",
    "INVALID_CONFIG": "look at TAXIMETER_TOPIC_MIN_INSYNC_REPLICAS and TAXIMETER_TOPIC_RETENTION_HOURS",
}


class TopicAdmin:
    """One connection. Every call raises Retryable or Misconfigured, never the library's errors."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._heard = Heard()
        config: dict[str, Any] = {**kafka.client_config(), "error_cb": self._heard}
        try:
            self._client = AdminClient(config, logger=QUIET)
        except KafkaException as error:
            raise refused_settings(error) from error

    def metadata(self) -> ClusterMetadata:
        """The brokers and topics that there are."""
        until = time.monotonic() + TIMEOUT_SECONDS
        while True:
            try:
                return self._client.list_topics(timeout=TURN_SECONDS)
            except KafkaException as error:
                self._client.poll(0)
                refusal = self._heard.refusal or error.args[0]
                if refusal.name() in REFUSALS or time.monotonic() > until:
                    raise translated(refusal) from error

    def partitions(self) -> dict[str, int]:
        """Topic to the number of its partitions; 0 while one of them has no leader."""
        return {
            name: len(topic.partitions) if all(part.leader >= 0 for part in topic.partitions.values()) else 0
            for name, topic in self.metadata().topics.items()
        }

    def records(self, name: str, partitions: int) -> int:
        """Offsets between the ends, so it is high where Kafka itself wrote some."""
        places = [TopicPartition(name, partition) for partition in range(partitions)]
        first = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # the library's gap
        last = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the same
        low, high = (
            sum(
                done(answer).offset
                for answer in self._client.list_offsets(
                    dict.fromkeys(places, end), request_timeout=TIMEOUT_SECONDS
                ).values()
            )
            for end in (first, last)
        )
        return int(high - low)

    def config(self, name: str) -> dict[str, str]:
        """The topic's settings, those that it has from the broker among them."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        found = done(self._client.describe_configs([resource], request_timeout=TIMEOUT_SECONDS)[resource])
        return {key: entry.value for key, entry in found.items() if entry.value is not None}

    @property
    def client(self) -> AdminClient:
        """The library's client, for what changes topics; hand its futures to `done`."""
        return self._client


def done(future: Future[Any]) -> Any:
    """What a question to the brokers is answered. Raises Retryable or Misconfigured."""
    try:
        return future.result()
    except KafkaException as error:
        raise translated(error.args[0]) from error


def translated(error: KafkaError) -> TaximeterError:
    """The error of ours for one of the admin client's."""
    name = error.name()
    mend = _MENDS.get(name) or REFUSALS.get(name)
    if mend is not None:
        return Misconfigured(f"Kafka says {name}: {error.str()}", mend=mend)
    hint = HINTS.get(name)
    return Retryable(
        f"Kafka does not answer as it should ({name}: {error.str()})" + (f"; {hint}" if hint is not None else "")
    )
