"""The topics: created where they are missing, left alone where they exist.

Brokers stamp records with the time of arrival (`LogAppendTime`), so an event with an old date is never deleted early.
The state of quotas is compacted: the last record of each key stays for ever, so that whoever takes a partition over
finds it whole; a tombstone stays far longer than a take-over takes.
A broker that refuses these settings gets the topics without them, and the report says which it refused.
Two runs at once, and a run after a crash, are safe: what exists is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # public, though its stubs do not re-export it

from taximeter_infra.stack.waiting import wait_until
from taximeter_infra.topic_admin import TIMEOUT_SECONDS, TopicAdmin, translated
from taximeter_schemas.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from confluent_kafka.admin import TopicMetadata  # type: ignore[attr-defined]  # the same

    from taximeter_schemas.settings import KafkaSettings, TopicSettings

DEAD_LETTER_PARTITIONS = 3
DEAD_LETTER_RETENTION_DAYS = 90
# A dead letter is its record and some headers, so it must be allowed more than the events are (1 MiB by default).
DEAD_LETTER_BYTES = 16 * 2**20
ALERT_PARTITIONS = 3
# Facts of a root with many levels, and what is known of a level that counts many windows.
QUOTA_BYTES = 8 * 2**20
_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS

_REFUSED: Final = {KafkaError.INVALID_CONFIG, KafkaError.INVALID_REQUEST, KafkaError.UNSUPPORTED_VERSION}


@dataclass(frozen=True)
class TopicSpec:
    """A topic as Taximeter wants it. Replicas: 0 for what the brokers give a new topic."""

    name: str
    partitions: int
    config: Mapping[str, str]
    replication_factor: int = 0


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
    """A topic as it is. `records` counts offsets between the ends, so it is high where Kafka itself wrote some.

    `replication_factor` is that of the partition with the fewest replicas; `config` has every setting of the topic.
    """

    name: str
    partitions: int
    records: int
    replication_factor: int
    config: Mapping[str, str]

    @property
    def timestamp_type(self) -> str:
        """`LogAppendTime` or `CreateTime`."""
        return self.config.get("message.timestamp.type", "unknown")

    @property
    def retention_ms(self) -> str:
        """Milliseconds; -1 for ever."""
        return self.config.get("retention.ms", "unknown")

    @property
    def cleanup_policy(self) -> str:
        """`delete`, `compact` or both."""
        return self.config.get("cleanup.policy", "unknown")


def wanted(topics: TopicSettings) -> list[TopicSpec]:
    """The topics of the pipeline. Raises Misconfigured for replicas that could not be in sync."""
    least, replicas = topics.min_insync_replicas, topics.replication_factor
    if least > replicas > 0:
        raise Misconfigured(
            f"{least} replicas cannot be in sync where there are {replicas}",
            mend="make TAXIMETER_TOPIC_MIN_INSYNC_REPLICAS less than TAXIMETER_TOPIC_REPLICATION_FACTOR, as 2 of 3",
        )
    letters = {
        **_kept(max(topics.retention_hours, DEAD_LETTER_RETENTION_DAYS * 24)),
        "max.message.bytes": str(DEAD_LETTER_BYTES),
    }
    specs = [
        TopicSpec(topics.events, topics.partitions, _kept(topics.retention_hours)),
        TopicSpec(topics.dead_letters, DEAD_LETTER_PARTITIONS, letters),
        *_wanted_for_quotas(topics),
    ]
    in_sync = {"min.insync.replicas": str(least)} if least else {}
    return [replace(spec, config={**spec.config, **in_sync}, replication_factor=replicas) for spec in specs]


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
    specs, admin = wanted(topics), TopicAdmin(kafka)
    report = TopicsReport()
    present = admin.partitions()
    for spec in specs:
        if spec.name in present:
            report.existing.append(spec.name)
        else:
            _create(admin, spec, report)
    _wait_for_leaders(admin, report.created)
    return report


def describe_topics(kafka: KafkaSettings, topics: TopicSettings) -> list[TopicState]:
    """The topics that exist, as they are. Raises Retryable or Misconfigured."""
    admin = TopicAdmin(kafka)
    present = admin.metadata().topics
    return [_describe(admin, spec.name, present[spec.name]) for spec in wanted(topics) if spec.name in present]


def _create(admin: TopicAdmin, spec: TopicSpec, report: TopicsReport) -> None:
    # -1 is the broker's word for its own default.
    replicas = spec.replication_factor or -1
    for config in (spec.config, {}):
        topic = NewTopic(spec.name, spec.partitions, replicas, config=dict(config))
        try:
            admin.client.create_topics([topic], request_timeout=TIMEOUT_SECONDS)[spec.name].result()
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


def _wait_for_leaders(admin: TopicAdmin, names: list[str]) -> None:
    def led() -> bool:
        present = admin.partitions()
        return all(present.get(name) for name in names)

    if names and not wait_until(led, TIMEOUT_SECONDS):
        raise Retryable(f"the new topics {', '.join(names)} have no leader yet")


def _describe(admin: TopicAdmin, name: str, found: TopicMetadata) -> TopicState:
    is_led = all(part.leader >= 0 for part in found.partitions.values())
    partitions = len(found.partitions) if is_led else 0
    replicas = min((len(part.replicas) for part in found.partitions.values()), default=0)
    return TopicState(name, partitions, admin.records(name, partitions), replicas, admin.config(name))
