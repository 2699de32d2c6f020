"""The log changes under the sink: made anew, or the group's offsets moved by hand. Nothing is skipped in silence."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from structlog.testing import capture_logs
from tests.sink.conftest import Pipeline, live
from tests.sink.records import events, value_of

from taximeter_infra.stack.waiting import wait_until
from taximeter_infra.topics import ensure_topics

pytestmark = pytest.mark.integration


def _make_anew(pipeline: Pipeline) -> None:
    admin = AdminClient(pipeline.kafka.client_config())
    admin.delete_topics([pipeline.topics.events])[pipeline.topics.events].result(30)
    assert wait_until(lambda: pipeline.topics.events not in admin.list_topics(timeout=15).topics, 30)
    ensure_topics(pipeline.kafka, pipeline.topics)


def _move(pipeline: Pipeline, by: int) -> None:
    """As an operator would, with the group's offsets in no sink's hands: no metadata."""
    consumer = Consumer({**pipeline.kafka.client_config(), "group.id": pipeline.group, "enable.auto.commit": False})
    places = [TopicPartition(pipeline.topics.events, number) for number in range(pipeline.topics.partitions)]
    moved = [
        TopicPartition(place.topic, place.partition, max(place.offset + by, 0))
        for place in consumer.committed(places, timeout=15)
    ]
    consumer.commit(offsets=moved, asynchronous=False)
    consumer.close()


def _said(lines: list[dict[str, object]], text: str) -> list[dict[str, object]]:
    return [line for line in lines if text in str(line["event"])]


def test_a_topic_made_anew_is_read_from_its_beginning(pipeline: Pipeline) -> None:
    """Under a running sink, and with more records in the new log than the old one had: all of them are stored."""
    made = events(900, seed=51)
    pipeline.produce([value_of(event) for event in made[:300]])
    with capture_logs() as lines, live(pipeline, stop_timeout_seconds=10.0):
        assert wait_until(lambda: pipeline.physical_rows() == 300, 60)
        _make_anew(pipeline)
        pipeline.produce([value_of(event) for event in made[300:]])
        assert wait_until(lambda: pipeline.sums()[0] == 900, 60)
    assert pipeline.sums()[:2] == (900, 900)
    logs = pipeline.clickhouse.rows("SELECT kafka_log, sum(records) FROM ingest_batches GROUP BY 1 ORDER BY 2")
    assert len(logs) == 2
    assert _said(lines, "made anew")


def test_a_topic_made_anew_while_no_sink_ran_is_read_from_its_beginning(pipeline: Pipeline) -> None:
    """Also when a commit of the old log's survived."""
    made = events(600, seed=52)
    pipeline.produce([value_of(event) for event in made[:200]])
    pipeline.run()
    consumer = Consumer({**pipeline.kafka.client_config(), "group.id": pipeline.group, "enable.auto.commit": False})
    places = [TopicPartition(pipeline.topics.events, number) for number in range(pipeline.topics.partitions)]
    survivors = consumer.committed(places, timeout=15)
    _make_anew(pipeline)
    pipeline.produce([value_of(event) for event in made[200:]])
    consumer.commit(offsets=survivors, asynchronous=False)
    consumer.close()
    with capture_logs() as lines:
        pipeline.run()
    assert pipeline.sums()[:2] == (600, 600)
    assert _said(lines, "RECORDS ARE MISSING: the topic was deleted and made anew")


def test_offsets_set_forward_are_told(pipeline: Pipeline) -> None:
    """What an operator skips is said, partition by partition, with the offsets."""
    made = events(400, seed=53)
    pipeline.produce([value_of(event) for event in made[:200]])
    pipeline.run()
    pipeline.produce([value_of(event) for event in made[200:]])
    _move(pipeline, 1)
    with capture_logs() as lines:
        pipeline.run()
    told = _said(lines, "RECORDS ARE MISSING: the group's offset was set past records")
    assert len(told) == 4
    assert all(line["committed"] == line["stored_to"] + 2 for line in told)  # type: ignore[operator]  # whole numbers
    assert pipeline.physical_rows() == 396


def test_offsets_set_back_double_nothing(pipeline: Pipeline) -> None:
    """Records that are read again collapse, and the sink says that it reads them again."""
    made = events(200, seed=54)
    pipeline.produce([value_of(event) for event in made])
    pipeline.run()
    _move(pipeline, -20)
    with capture_logs() as lines:
        pipeline.run()
    assert _said(lines, "was set back")
    assert pipeline.sums()[:2] == (200, 200)
