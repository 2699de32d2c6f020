"""The Kafka clients of the quota service: what each may lose, and what it may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException, Producer

from taximeter_consumers.kafka_client import QUIET, refused_settings

if TYPE_CHECKING:
    from taximeter_consumers.quota.service.settings import QuotaSettings
    from taximeter_schemas.settings import KafkaSettings

Config = dict[str, str | int | bool]

LARGEST_RECORD: Final = 8 * 2**20
# A transaction whose process died is rolled back by its successor; if that cannot find it, by the broker after this.
TRANSACTION_MS: Final = 15_000
_JOIN_MS: Final = 30_000


def member(kafka: KafkaSettings, settings: QuotaSettings) -> Consumer:
    """A member of the group. It commits nothing by itself: offsets go with checkpoints."""
    config: Config = {
        **kafka.client_config(),
        "client.id": "taximeter-quota",
        "group.id": settings.group_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": settings.session_timeout_ms,
        "heartbeat.interval.ms": max(settings.session_timeout_ms // 4, 250),
        # So long, too, librdkafka waits for a coordinator that lost its question about joining on its own way.
        "max.poll.interval.ms": settings.session_timeout_ms + int(settings.stop_timeout_seconds * 1_000) + _JOIN_MS,
        "fetch.wait.max.ms": 100,
        "fetch.error.backoff.ms": 100,
        "queued.max.messages.kbytes": 16 * 1024,
    }
    if settings.instance_id is not None:
        config["group.instance.id"] = settings.instance_id
    return _consumer(config)


def reader(kafka: KafkaSettings, group: str) -> Consumer:
    """Reads what is committed of partitions that it is given; joins no group and commits nothing."""
    return _consumer(
        {
            **kafka.client_config(),
            "client.id": "taximeter-quota-restore",
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 20,
        }
    )


def answering(kafka: KafkaSettings) -> Producer:
    """Sends answers and facts, at once."""
    return _producer(
        {
            **kafka.client_config(),
            "client.id": "taximeter-quota-answers",
            "enable.idempotence": True,
            "linger.ms": 0,
            "message.max.bytes": LARGEST_RECORD,
            "message.timeout.ms": 60_000,
            "compression.type": "none",
        }
    )


def transactional(kafka: KafkaSettings, transactional_id: str) -> Producer:
    """Writes checkpoints."""
    return _producer(
        {
            **kafka.client_config(),
            "client.id": "taximeter-quota-state",
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_MS,
            "linger.ms": 0,
            "message.max.bytes": LARGEST_RECORD,
            "message.timeout.ms": TRANSACTION_MS,
            "queue.buffering.max.messages": 1_000_000,
        }
    )


def _consumer(config: Config) -> Consumer:
    try:
        return Consumer(config, logger=QUIET)
    except KafkaException as error:
        raise refused_settings(error) from error


def _producer(config: Config) -> Producer:
    try:
        return Producer(config, logger=QUIET)
    except KafkaException as error:
        raise refused_settings(error) from error
