"""A migrated database with the price book, new for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import typer
from tests.rollups.database import with_book
from typer.testing import CliRunner

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_infra.cli import report as commands
from taximeter_schemas.settings import ClickHouseSettings


@pytest.fixture
def clickhouse_settings(migrated_database: ClickHouseSettings) -> ClickHouseSettings:
    """Every test here works in a migrated database."""
    return migrated_database


@pytest.fixture
def clickhouse(clickhouse_settings: ClickHouseSettings) -> Iterator[ClickHouse]:
    """A connection to it."""
    with with_book(clickhouse_settings) as connection:
        yield connection


@pytest.fixture
def report(filled_settings: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a report against the module's filled database; what it prints."""
    monkeypatch.setenv("CLICKHOUSE_URL", filled_settings.url.get_secret_value())
    monkeypatch.setenv("CLICKHOUSE_DATABASE", filled_settings.database)
    monkeypatch.setenv("COLUMNS", "200")
    app = typer.Typer()
    commands.register(app)

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["report", *words])
        assert done.exit_code == 0, done.output
        return done.stdout

    return run
