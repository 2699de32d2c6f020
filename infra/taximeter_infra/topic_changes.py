"""Brings topics that exist to what is wanted: settings one by one, and partitions of the events, which only grow.

Only what differs is sent, so a repeated run, a second one beside it, and one after a crash do what is left to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, though its stubs do not re-export all
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
)

from taximeter_infra.topic_admin import TIMEOUT_SECONDS, TopicAdmin, done
from taximeter_infra.topic_settings import differences, to_apply
from taximeter_infra.topics import describe_topics, wanted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taximeter_infra.topic_settings import Difference
    from taximeter_infra.topics import TopicState
    from taximeter_schemas.settings import KafkaSettings, TopicSettings

PARTITIONS: Final = "partitions"


def look(kafka: KafkaSettings, topics: TopicSettings) -> tuple[list[TopicState], list[str], list[Difference]]:
    """The topics that exist, the names of the missing, and what differs. Raises Retryable or Misconfigured."""
    admin, specs = TopicAdmin(kafka), wanted(topics)
    states = describe_topics(kafka, topics)
    there = {state.name for state in states}
    missing = [spec.name for spec in specs if spec.name not in there]
    return states, missing, differences(topics, specs, states, len(admin.metadata().brokers))


def differences_of(kafka: KafkaSettings, topics: TopicSettings) -> list[Difference]:
    """What differs now. Raises Retryable or Misconfigured."""
    return look(kafka, topics)[2]


def change(kafka: KafkaSettings, found: Sequence[Difference], *, may_delete: bool = False) -> list[Difference]:
    """Sets what differs and may be set; returns what it did. Raises Retryable or Misconfigured."""
    chosen = to_apply(found, may_delete=may_delete)
    if not chosen:
        return []
    admin = TopicAdmin(kafka)
    for topic, settings in chosen.items():
        _alter(admin, topic, {name: value for name, value in settings.items() if name != PARTITIONS})
        if PARTITIONS in settings:
            grown = [NewPartitions(topic, int(settings[PARTITIONS]))]
            done(admin.client.create_partitions(grown, request_timeout=TIMEOUT_SECONDS)[topic])
    return [one for one in found if one.setting in chosen.get(one.topic, {})]


def _alter(admin: TopicAdmin, topic: str, settings: Mapping[str, str]) -> None:
    if not settings:
        return
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    done(admin.client.incremental_alter_configs([resource], request_timeout=TIMEOUT_SECONDS)[resource])
