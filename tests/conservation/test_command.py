"""`taximeter audit` as its users call it: the whole way from Kafka to the invoice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.conftest import TopicNames
from tests.sink.conftest import Pipeline
from tests.sink.records import events, value_of
from typer.testing import CliRunner

from taximeter_consumers.clickhouse import connect
from taximeter_consumers.rollups import tick
from taximeter_infra.cli.app import app
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings


@pytest.fixture
def pipeline(
    kafka_settings: KafkaSettings,
    clickhouse_settings: ClickHouseSettings,
    topic_names: TopicNames,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Pipeline]:
    """Topics with two partitions, an empty database, and both in the environment."""
    topics = topic_names.settings(partitions=2)
    ensure_topics(kafka_settings, topics)
    for name, value in {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "CLICKHOUSE_URL": clickhouse_settings.url.get_secret_value(),
        "CLICKHOUSE_DATABASE": clickhouse_settings.database,
        "TAXIMETER_TOPIC_EVENTS": topics.events,
        "TAXIMETER_TOPIC_DEAD_LETTERS": topics.dead_letters,
        "TAXIMETER_SINK_GROUP_ID": topic_names.group,
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, value)
    with closing(connect(clickhouse_settings)) as clickhouse:
        yield Pipeline(kafka_settings, clickhouse_settings, topics, topic_names.group, clickhouse)


def filled(pipeline: Pipeline, count: int = 200) -> None:
    """So many events, sunk and rolled up."""
    pipeline.produce([value_of(event) for event in events(count, seed=3)])
    pipeline.run()
    while tick(pipeline.clickhouse).version is not None:
        pass


def test_the_whole_way_closes_and_a_deleted_row_opens_both_halves(pipeline: Pipeline) -> None:
    """0 with a line for each partition, the table and a digest; 1 with LOST and the gaps once a row is deleted."""
    filled(pipeline)
    runner = CliRunner()
    closed = runner.invoke(app, ["audit"])
    assert closed.exit_code == 0, closed.output
    assert "partition 0: accepted " in closed.stdout
    assert "rows = charged: " in closed.stdout
    assert "digest " in closed.stdout
    assert closed.stdout.splitlines()[-1].startswith("closes: raw = rollups")
    (event_id, account) = pipeline.clickhouse.rows("SELECT toString(event_id), account_id FROM stored_events LIMIT 1")[
        0
    ]
    pipeline.clickhouse.execute(
        f"ALTER TABLE stored_events DELETE WHERE event_id = '{event_id}'", settings={"mutations_sync": 1}
    )
    opened = runner.invoke(app, ["audit", "--json"])
    assert opened.exit_code == 1
    said = json.loads(opened.stdout)
    assert (said["holds"], said["ingest"]["totals"]["lost"], said["money"]["holds"]) == (False, 1, False)
    assert {gap["account_id"] for gap in said["money"]["gaps"]} == {account}
    assert {gap["pair"] for gap in said["money"]["gaps"]} >= {"charged = usage_by_subject", "charged = node_costs"}
    text = runner.invoke(app, ["audit", "--no-ingest"])
    assert text.exit_code == 1
    assert "partition" not in text.stdout
    assert "GAP charged = usage_by_subject: account " in text.stdout
    assert text.stdout.splitlines()[-1].startswith("DOES NOT CLOSE")


def test_without_kafka_the_error_names_the_option(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with it the money is audited all the same."""
    filled(pipeline, 20)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    runner = CliRunner()
    refused = runner.invoke(app, ["audit"])
    assert refused.exit_code == 1
    assert "or leave Kafka out with --no-ingest" in refused.stderr
    assert runner.invoke(app, ["audit", "--no-ingest"]).exit_code == 0


def test_options_that_do_not_go_together_are_refused() -> None:
    """The ingest audit knows no accounts, and hours have a direction."""
    runner = CliRunner()
    assert runner.invoke(app, ["audit", "--ingest", "--account", "a"]).exit_code == 2
    assert runner.invoke(app, ["audit", "--from", "2026-11-02", "--to", "2026-11-01"]).exit_code == 2
    assert runner.invoke(app, ["audit", "--from", "soon"]).exit_code == 2
