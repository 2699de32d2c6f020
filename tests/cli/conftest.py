"""The command line as its users call it, against the local stack, with topics and a database of the test's own."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from click.testing import Result
from tests.conftest import TopicNames
from typer.testing import CliRunner

from taximeter_infra.cli.app import app
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings

Taximeter = Callable[..., Result]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """No server is known and no stack runs."""
    for name in list(os.environ):
        if name.startswith(("KAFKA_", "CLICKHOUSE_", "SCHEMA_REGISTRY_", "TAXIMETER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TAXIMETER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def taximeter(alone: None) -> Taximeter:
    """Runs a command; the result has `exit_code`, `stdout` and `stderr`."""
    return lambda *words, text=None: CliRunner().invoke(app, [str(word) for word in words], input=text)


@pytest.fixture
def on_kafka(
    alone: None, monkeypatch: pytest.MonkeyPatch, kafka_settings: KafkaSettings, topic_names: TopicNames
) -> TopicNames:
    """The environment names the stack's broker and topics of the test's own, which do not exist yet."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("TAXIMETER_TOPIC_EVENTS", topic_names.events)
    monkeypatch.setenv("TAXIMETER_TOPIC_DEAD_LETTERS", topic_names.dead_letters)
    monkeypatch.setenv("TAXIMETER_TOPIC_QUOTA_COMMANDS", topic_names.commands)
    monkeypatch.setenv("TAXIMETER_TOPIC_QUOTA_ANSWERS", topic_names.answers)
    monkeypatch.setenv("TAXIMETER_TOPIC_QUOTA_STATE", topic_names.state)
    monkeypatch.setenv("TAXIMETER_TOPIC_ALERTS", topic_names.alerts)
    monkeypatch.setenv("TAXIMETER_TOPIC_PARTITIONS", "2")
    monkeypatch.setenv("TAXIMETER_TOPIC_QUOTA_PARTITIONS", "2")
    return topic_names


@pytest.fixture
def on_clickhouse(
    alone: None, monkeypatch: pytest.MonkeyPatch, clickhouse_settings: ClickHouseSettings
) -> ClickHouseSettings:
    """The environment names the stack's ClickHouse and a database of the test's own, which does not exist yet."""
    monkeypatch.setenv("CLICKHOUSE_URL", clickhouse_settings.url.get_secret_value())
    monkeypatch.setenv("CLICKHOUSE_DATABASE", clickhouse_settings.database)
    return clickhouse_settings
