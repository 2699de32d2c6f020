"""Whether a Kafka answers: the probe of both brokers and of `taximeter status`."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from taximeter_consumers.kafka_client import QUIET
from taximeter_schemas.settings import KafkaSettings


@dataclass(frozen=True)
class Cluster:
    """What the brokers say of themselves."""

    id: str
    brokers: int
    topics: int


def look(settings: KafkaSettings, timeout: float = 2.0) -> Cluster | None:
    """One look at the cluster, `timeout` seconds at most; None when it does not answer."""
    try:
        metadata = _client(settings).list_topics(timeout=timeout)
    except KafkaException:
        return None
    return Cluster(metadata.cluster_id or "", len(metadata.brokers), len(metadata.topics))


def group_coordinator_answers(settings: KafkaSettings, timeout: float = 2.0) -> bool:
    """Whether consumer groups can be used: on a new Kafka the first question makes it create their topic."""
    group = "taximeter.readiness"
    try:
        client = _client(settings)  # held until the answer is there: it dies with its client
        answers = client.describe_consumer_groups([group], request_timeout=timeout)
        answers[group].result(timeout=timeout)
    except KafkaException as error:
        return bool(error.args[0].name() == "GROUP_ID_NOT_FOUND")
    except TimeoutError:
        return False
    return True


def _client(settings: KafkaSettings) -> AdminClient:
    return AdminClient({**settings.client_config(), "log_level": 0}, logger=QUIET)
