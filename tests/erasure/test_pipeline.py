"""Erasure and retention on a pipeline from Kafka on: both audits close afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import cycle

import pytest
from tests.conftest import TopicNames
from tests.erasure.conftest import Taximeter
from tests.erasure.sums import named, sums
from tests.sink.conftest import Pipeline
from tests.sink.records import events, value_of

from taximeter_consumers.clickhouse import connect
from taximeter_consumers.retention.delete import delete
from taximeter_consumers.rollups import tick
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.long]


@pytest.fixture
def pipeline(
    kafka_settings: KafkaSettings,
    clickhouse_settings: ClickHouseSettings,
    topic_names: TopicNames,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Pipeline]:
    """Two partitions with events that are stored and rolled up."""
    topics = topic_names.settings(partitions=2)
    ensure_topics(kafka_settings, topics)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("TAXIMETER_TOPIC_EVENTS", topics.events)
    monkeypatch.setenv("TAXIMETER_TOPIC_DEAD_LETTERS", topics.dead_letters)
    monkeypatch.setenv("TAXIMETER_SINK_GROUP_ID", topic_names.group)
    with closing(connect(clickhouse_settings)) as clickhouse:
        made = Pipeline(kafka_settings, clickhouse_settings, topics, topic_names.group, clickhouse)
        users = cycle(("user-of-the-test", "somebody"))
        sent = [event.model_copy(update={"user_id": next(users)}) for event in events(120, seed=3)]
        made.produce([value_of(event) for event in sent])
        made.run()
        while tick(clickhouse).version is not None:
            pass
        yield made


def test_both_audits_close(pipeline: Pipeline, taximeter: Taximeter) -> None:
    """After an erasure, and after all raw events are deleted; the records in Kafka do not bring anybody back."""
    clickhouse = pipeline.clickhouse
    user = "user-of-the-test"
    before = sums(clickhouse)
    erased = taximeter("erase", "--user", user, "--yes", "--json")
    assert erased.exit_code == 0, erased.output
    done = json.loads(erased.stdout)
    assert (done["rows"] > 0, done["wrong_sums"], sums(clickhouse)) == (True, [], before)
    for words in ((), ("--ingest",), ("--ingest", "--deep")):
        closed = taximeter("audit", *words)
        assert closed.exit_code == 0, closed.output
    copied = taximeter("replay", "--to-clickhouse", "--json")
    assert copied.exit_code in {0, 3}, copied.output
    while tick(clickhouse).version is not None:
        pass
    assert sums(clickhouse) == before
    assert named(clickhouse, user) != {}
    again = taximeter("erase", "--again", "--yes")
    assert again.exit_code == 0, again.output
    assert named(clickhouse, user) == {}
    assert sums(clickhouse) == before
    frozen = {name: rows for name, rows in before.items() if name != "events"}
    tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    delete(clickhouse, tomorrow, "a test")
    assert clickhouse.scalar("SELECT count() FROM stored_events") == 0
    for words in ((), ("--ingest",)):
        closed = taximeter("audit", *words)
        assert closed.exit_code == 0, closed.output
    assert {name: rows for name, rows in sums(clickhouse).items() if name != "events"} == frozen
    assert taximeter("replay", "--shadow", "s").exit_code == 0
    refused = taximeter("replay", "--shadow", "s", "--swap", "--yes")
    assert (refused.exit_code, "whose events are gone" in refused.stderr) == (1, True), refused.output
    assert taximeter("replay", "--shadow", "s", "--drop").exit_code == 0
