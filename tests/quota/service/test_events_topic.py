"""The ends of the events topic, by which the service knows up to when all use is counted."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from tests.conftest import TopicNames

from taximeter_consumers.quota.service.ticks import Events
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import TaximeterError
from taximeter_schemas.settings import KafkaSettings

pytestmark = pytest.mark.integration


def partitions(events: Events) -> set[int]:
    """Those that have ends; none while the broker is at work on them."""
    try:
        return set(events.ends())
    except TaximeterError:
        return set()


def test_partitions_that_are_added_have_ends_too(kafka_settings: KafkaSettings, topic_names: TopicNames) -> None:
    """A service that runs on sees them: events in a partition that it did not know would be taken to be counted."""
    admin = AdminClient(kafka_settings.client_config())
    admin.create_topics([NewTopic(topic_names.events, num_partitions=1)])[topic_names.events].result()
    assert wait_until(lambda: topic_names.events in admin.list_topics().topics, 30)
    events = Events(kafka_settings, topic_names.events)
    assert wait_until(lambda: partitions(events) == {0}, 30)
    admin.create_partitions([NewPartitions(topic_names.events, 3)])[topic_names.events].result()
    assert wait_until(lambda: partitions(events) == {0, 1, 2}, 30)
    admin.delete_topics([topic_names.events])[topic_names.events].result()
    assert wait_until(lambda: not partitions(events), 30)
    with pytest.raises(TaximeterError):
        events.ends()
