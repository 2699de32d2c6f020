"""A pipeline of the test's own, and `taximeter` as its users call it on that pipeline."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result
from tests.audit.conftest import Audited
from tests.conftest import TopicNames
from typer.testing import CliRunner

from taximeter_consumers.clickhouse import connect
from taximeter_consumers.failpoints import VARIABLE
from taximeter_infra.cli.app import app
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings

Taximeter = Callable[..., Result]


@pytest.fixture
def pipeline(
    kafka_settings: KafkaSettings, migrated_database: ClickHouseSettings, topic_names: TopicNames
) -> Iterator[Audited]:
    """Topics with two partitions and an empty database."""
    topics = topic_names.settings(partitions=2)
    ensure_topics(kafka_settings, topics)
    with closing(connect(migrated_database)) as clickhouse:
        yield Audited(kafka_settings, migrated_database, topics, topic_names.group, clickhouse)


@dataclass(frozen=True)
class Commands:
    """`taximeter` in this process, or in one that is killed."""

    def __call__(self, *words: object) -> Result:
        """The result has `exit_code`, `stdout` and `stderr`."""
        return CliRunner().invoke(app, [str(word) for word in words])

    def killed_at(self, failpoint: str, *words: object) -> int:
        """The return code of a process that kills itself (-9) at the failpoint."""
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), VARIABLE: failpoint}
        command = [sys.executable, "-c", "from taximeter_infra.cli.app import main; main()", *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120).returncode


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Commands:
    """Where no server is known."""
    for name in list(os.environ):
        if name.startswith(("KAFKA_", "CLICKHOUSE_", "SCHEMA_REGISTRY_", "TAXIMETER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TAXIMETER_DATA_DIR", str(tmp_path / "data"))
    return Commands()


@pytest.fixture
def taximeter(alone: Commands, monkeypatch: pytest.MonkeyPatch, pipeline: Audited) -> Commands:
    """On the pipeline."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", pipeline.kafka.bootstrap_servers)
    monkeypatch.setenv("CLICKHOUSE_URL", pipeline.clickhouse_settings.url.get_secret_value())
    monkeypatch.setenv("CLICKHOUSE_DATABASE", pipeline.clickhouse_settings.database)
    monkeypatch.setenv("TAXIMETER_TOPIC_EVENTS", pipeline.topics.events)
    monkeypatch.setenv("TAXIMETER_TOPIC_DEAD_LETTERS", pipeline.topics.dead_letters)
    monkeypatch.setenv("TAXIMETER_SINK_GROUP_ID", pipeline.group)
    return alone
