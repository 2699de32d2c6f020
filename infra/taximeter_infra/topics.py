"""The topics: created where they are missing, left alone where they exist.

Brokers stamp records with the time of arrival (`LogAppendTime`), so an event with an old date is never deleted early.
The state of quotas is compacted: the last record of each key stays for ever, so that whoever takes a partition over
finds it whole; a tombstone stays far longer than a take-over takes.
A broker that refuses these settings gets the topics without them, and the report says which it refused.
Two runs at once, and a run after a crash, are safe: what exists is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, though its stubs do not re-export all
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from taximeter_consumers.kafka_client import QUIET, refused_settings
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Misconfigured, Retryable, TaximeterError

if TYPE_CHECKING:
    from taximeter_schemas.settings import KafkaSettings, TopicSettings

DEAD_LETTER_PARTITIONS = 3
DEAD_LETTER_RETENTION_DAYS = 90
# A dead letter is its record and some headers, so it must be allowed more than the events are (1 MiB by default).
DEAD_LETTER_BYTES = 16 * 2**20
ALERT_PARTITIONS = 3
# Facts of a root with many levels, and what is known of a level that counts many windows.
QUOTA_BYTES = 8 * 2**20
_TIMEOUT_SECONDS = 15.0
_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS

_REFUSED: Final = {KafkaError.INVALID_CONFIG, KafkaError.INVALID_REQUEST, KafkaError.UNSUPPORTED_VERSION}
_MENDS: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to create topics, or let somebody create them who may",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "allow this user to create topics, or let somebody create them who may",
    KafkaError.INVALID_PARTITIONS: "choose another TAXIMETER_TOPIC_PARTITIONS or TAXIMETER_TOPIC_QUOTA_PARTITIONS",
    KafkaError.INVALID_REPLICATION_FACTOR: "set default.replication.factor of the brokers to what they can hold",
    KafkaError.POLICY_VIOLATION: "create the topics by the rules of this cluster; Taximeter takes them as they are",
    KafkaError.TOPIC_EXCEPTION: "choose another name: look at the TAXIMETER_TOPIC_* variables",
    KafkaError._AUTHENTICATION: "look at KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",  # noqa: SLF001 - librdkafka's name
    KafkaError.SASL_AUTHENTICATION_FAILED: "look at KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
}


@dataclass(frozen=True)
class TopicSpec:
    """A topic as Taximeter wants it."""

    name: str
    partitions: int
    config: Mapping[str, str]


@dataclass
class TopicsReport:
    """What happened to each topic; `refused` names the settings that the broker would not take."""

    created: list[str] = field(default_factory=list)
    existing: list[str] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class TopicState:
    """A topic as it is. `records` counts offsets between the ends, so it is high where Kafka itself wrote some."""

    name: str
    partitions: int
    records: int
    timestamp_type: str
    retention_ms: str
    cleanup_policy: str


def wanted(topics: TopicSettings) -> list[TopicSpec]:
    """The topics of the pipeline."""
    letters = {
        **_kept(max(topics.retention_hours, DEAD_LETTER_RETENTION_DAYS * 24)),
        "max.message.bytes": str(DEAD_LETTER_BYTES),
    }
    return [
        TopicSpec(topics.events, topics.partitions, _kept(topics.retention_hours)),
        TopicSpec(topics.dead_letters, DEAD_LETTER_PARTITIONS, letters),
        *_wanted_for_quotas(topics),
    ]


def _wanted_for_quotas(topics: TopicSettings) -> list[TopicSpec]:
    largest = {"max.message.bytes": str(QUOTA_BYTES)}
    answers = {
        **_kept(1),
        # Who asked has long given up. A segment is deleted only when it is closed.
        "retention.ms": str(10 * _MINUTE_MS),
        "segment.ms": str(5 * _MINUTE_MS),
        "segment.bytes": str(64 * 2**20),
    }
    state = {
        "cleanup.policy": "compact",
        "message.timestamp.type": "LogAppendTime",
        # Only closed segments are compacted, so they must close soon: a take-over reads all that is left.
        "segment.bytes": str(16 * 2**20),
        "segment.ms": str(10 * _MINUTE_MS),
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": str(20 * _MINUTE_MS),
        "delete.retention.ms": str(_HOUR_MS),
    }
    return [
        TopicSpec(topics.quota_commands, topics.quota_partitions, _kept(7 * 24) | largest),
        TopicSpec(topics.quota_answers, topics.quota_partitions, answers | largest),
        TopicSpec(topics.quota_state, topics.quota_partitions, state | largest),
        TopicSpec(topics.alerts, ALERT_PARTITIONS, _kept(30 * 24)),
    ]


def _kept(hours: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(hours * _HOUR_MS),
    }


def ensure_topics(kafka: KafkaSettings, topics: TopicSettings) -> TopicsReport:
    """Creates what is missing and waits until every partition has a leader. Raises Retryable or Misconfigured."""
    admin = _admin(kafka)
    report = TopicsReport()
    present = _partitions(admin)
    for spec in wanted(topics):
        if spec.name in present:
            report.existing.append(spec.name)
        else:
            _create(admin, spec, report)
    _wait_for_leaders(admin, report.created)
    return report


def describe_topics(kafka: KafkaSettings, topics: TopicSettings) -> list[TopicState]:
    """The topics that exist, as they are. Raises Retryable or Misconfigured."""
    admin = _admin(kafka)
    present = _partitions(admin)
    return [_describe(admin, spec.name, present[spec.name]) for spec in wanted(topics) if spec.name in present]


def translated(error: KafkaError) -> TaximeterError:
    """The error of ours for one of the admin client's."""
    if error.code() in _MENDS:
        return Misconfigured(f"Kafka says {error.name()}: {error.str()}", mend=_MENDS[error.code()])
    return Retryable(f"Kafka does not answer as it should ({error.name()}: {error.str()})")


def _admin(kafka: KafkaSettings) -> AdminClient:
    try:
        return AdminClient({**kafka.client_config()}, logger=QUIET)
    except KafkaException as error:
        raise refused_settings(error) from error


def _partitions(admin: AdminClient) -> dict[str, int]:
    """Topic to the number of its partitions; 0 while one of them has no leader."""
    try:
        found = admin.list_topics(timeout=_TIMEOUT_SECONDS).topics
    except KafkaException as error:
        raise translated(error.args[0]) from error
    return {
        name: len(topic.partitions) if all(part.leader >= 0 for part in topic.partitions.values()) else 0
        for name, topic in found.items()
    }


def _create(admin: AdminClient, spec: TopicSpec, report: TopicsReport) -> None:
    for config in (spec.config, {}):
        topic = NewTopic(spec.name, num_partitions=spec.partitions, config=dict(config))
        try:
            admin.create_topics([topic], request_timeout=_TIMEOUT_SECONDS)[spec.name].result()
        except KafkaException as error:
            refusal: KafkaError = error.args[0]
            if refusal.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                report.existing.append(spec.name)
                return
            if config and refusal.code() in _REFUSED:
                report.refused[spec.name] = sorted(config)
                continue
            raise translated(refusal) from error
        report.created.append(spec.name)
        return


def _wait_for_leaders(admin: AdminClient, names: list[str]) -> None:
    def led() -> bool:
        present = _partitions(admin)
        return all(present.get(name) for name in names)

    if names and not wait_until(led, _TIMEOUT_SECONDS):
        raise Retryable(f"the new topics {', '.join(names)} have no leader yet")


def _describe(admin: AdminClient, name: str, partitions: int) -> TopicState:
    ends: dict[str, int] = {}
    places = [TopicPartition(name, partition) for partition in range(partitions)]
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    first = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # the library's gap
    last = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the same
    try:
        for label, end in (("low", first), ("high", last)):
            asked = admin.list_offsets(dict.fromkeys(places, end), request_timeout=_TIMEOUT_SECONDS)
            ends[label] = sum(answer.result().offset for answer in asked.values())
        config = admin.describe_configs([resource], request_timeout=_TIMEOUT_SECONDS)[resource].result()
    except KafkaException as error:
        raise translated(error.args[0]) from error
    setting = {key: entry.value for key, entry in config.items()}
    return TopicState(
        name,
        partitions,
        ends["high"] - ends["low"],
        setting.get("message.timestamp.type") or "unknown",
        setting.get("retention.ms") or "unknown",
        setting.get("cleanup.policy") or "unknown",
    )
