"""Where a sink begins in partitions that its group has never committed: at a number, asked before."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from tests.conftest import TopicNames
from tests.watched import Watched

from taximeter_consumers.sink import group
from taximeter_consumers.sink.log_identity import LogIdentity
from taximeter_consumers.sink.membership import Membership
from taximeter_consumers.sink.settings import SinkSettings
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.settings import KafkaSettings

pytestmark = pytest.mark.integration


def test_a_sink_begins_at_numbers_only(
    kafka_settings: KafkaSettings, topic_names: TopicNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker's word on where "the beginning" is may come late, and moves the client there though it reads on."""
    topics = topic_names.settings(3)
    ensure_topics(kafka_settings, topics)
    monkeypatch.setattr(group, "Consumer", Watched)
    consumer = group.open_consumer(kafka_settings, SinkSettings(group_id=topic_names.group))
    assert isinstance(consumer, Watched)
    membership = Membership(consumer, topics.events, LogIdentity(kafka_settings, topics.events, seen=True), dict)
    with closing(consumer):
        membership.subscribe(lambda _: None, lambda _: None)
        end = time.monotonic() + 60
        while len(membership.partitions) < 3 and time.monotonic() < end:
            membership.poll(0.02)
        assert sorted((place.partition, place.offset) for place in consumer.told) == [(0, 0), (1, 0), (2, 0)]


def test_a_broker_that_does_not_say_keeps_no_partition_waiting(kafka_settings: KafkaSettings) -> None:
    """Then librdkafka asks, for as long as it takes."""
    consumer = group.open_consumer(kafka_settings, SinkSettings(group_id="nobody"))
    with closing(consumer):
        found = group.beginnings(consumer, "test.there.is.no.such.topic", range(3))
    assert found == dict.fromkeys(range(3), -2)
