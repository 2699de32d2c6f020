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

from taximeter_infra.stack.waiting import wait_until
from taximeter_infra.topic_admin import TIMEOUT_SECONDS, TopicAdmin, done
from taximeter_infra.topic_settings import differences
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


def change(kafka: KafkaSettings, chosen: Sequence[Difference]) -> None:
    """Sets what was chosen, topic by topic. Raises Retryable or Misconfigured; what was set until then stays set."""
    by_topic: dict[str, dict[str, str]] = {}
    for one in chosen:
        if one.value is not None:
            by_topic.setdefault(one.topic, {})[one.setting] = one.value
    admin = TopicAdmin(kafka)
    for topic, settings in by_topic.items():
        _alter(admin, topic, {name: value for name, value in settings.items() if name != PARTITIONS})
        if PARTITIONS in settings:
            grown = [NewPartitions(topic, int(settings[PARTITIONS]))]
            done(admin.client.create_partitions(grown, request_timeout=TIMEOUT_SECONDS)[topic])


def left_after(kafka: KafkaSettings, topics: TopicSettings, applied: Sequence[Difference]) -> list[Difference]:
    """What differs once the brokers show what was set, or do not within the time limit. Raises as `look`."""
    set_now = {(one.topic, one.setting, one.found) for one in applied}
    left: list[Difference] = []

    def shown() -> bool:
        left[:] = differences_of(kafka, topics)
        return not any((one.topic, one.setting, one.found) in set_now for one in left)

    wait_until(shown, TIMEOUT_SECONDS)
    return left


def _alter(admin: TopicAdmin, topic: str, settings: Mapping[str, str]) -> None:
    if not settings:
        return
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    done(admin.client.incremental_alter_configs([resource], request_timeout=TIMEOUT_SECONDS)[resource])
