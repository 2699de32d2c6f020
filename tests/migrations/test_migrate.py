"""Migrations on a real ClickHouse: once each, in order, and refused when history was changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_infra import migrate as migrations
from taximeter_infra.migrate import Migration, migrate, packaged, pending, single_server
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.settings import ClickHouseSettings

FILES = packaged()
RECORDED = {migration.number: (migration.name, migration.checksum) for migration in FILES}
NUMBERS = [migration.number for migration in FILES]


def test_files_are_numbered_without_a_gap() -> None:
    """0001, 0002, ... in the order of their application."""
    assert list(range(1, len(FILES) + 1)) == NUMBERS


def test_what_is_recorded_is_not_pending() -> None:
    """Nothing is left after all were applied; the rest after some."""
    assert pending(FILES, RECORDED) == []
    assert pending(FILES, {1: RECORDED[1]}) == FILES[1:]


def test_a_changed_file_is_refused() -> None:
    """An applied file whose text differs names itself and the mend."""
    changed = [replace(FILES[0], sql=FILES[0].sql + "-- one word more\n"), *FILES[1:]]
    with pytest.raises(Misconfigured, match=f"{FILES[0].name} was changed"):
        pending(changed, RECORDED)


def test_a_newer_database_is_refused() -> None:
    """A migration that this code does not know means that the code is too old."""
    with pytest.raises(Misconfigured, match=r"9999_tomorrow[\s\S]*upgrade"):
        pending(FILES, RECORDED | {9999: ("9999_tomorrow", "00")})


def test_no_placeholder_is_left() -> None:
    """Every statement is whole SQL, and creates only what is missing."""
    engines = single_server()
    statements = [statement for migration in FILES for statement in migration.statements(engines)]
    for statement in statements:
        assert not any(f"{{{name}}}" in statement for name in engines)
        assert "CREATE TABLE " not in statement.replace("CREATE TABLE IF NOT EXISTS ", "")
        assert "CREATE VIEW " not in statement.replace("CREATE VIEW IF NOT EXISTS ", "")
        assert "ON CLUSTER" not in statement


def test_semicolons_inside_a_line_are_text() -> None:
    """A comment on a column may hold one."""
    sql = "CREATE TABLE a (x Int8 COMMENT 'one; two') ENGINE = Memory;\n-- then; this\nCREATE VIEW b AS SELECT 1;\n"
    assert [part.split()[1] for part in Migration(1, "a", sql).statements(single_server())] == ["TABLE", "VIEW"]


@pytest.fixture
def database(clickhouse_settings: ClickHouseSettings) -> Iterator[ClickHouse]:
    """A database to which everything was applied."""
    migrate(clickhouse_settings, single_server())
    opened = connect(clickhouse_settings)
    yield opened
    opened.close()


def log_of(database: ClickHouse) -> list[tuple[int, str]]:
    """What the database recorded."""
    rows = database.rows("SELECT number, checksum FROM stored_migrations ORDER BY number, applied_at")
    return [(number, checksum) for number, checksum in rows]


@pytest.mark.integration
def test_a_dry_run_changes_nothing(clickhouse_settings: ClickHouseSettings) -> None:
    """It lists what would be applied; a missing database is missing afterwards, an empty one is empty."""
    name = clickhouse_settings.database
    assert migrate(clickhouse_settings, single_server(), dry_run=True) == FILES
    server = connect(clickhouse_settings, database="default")
    try:
        assert (name,) not in server.rows("SELECT name FROM system.databases")
        server.execute(f"CREATE DATABASE {name}")
        assert migrate(clickhouse_settings, single_server(), dry_run=True) == FILES
        assert server.rows(f"SELECT name FROM system.tables WHERE database = '{name}'") == []
    finally:
        server.close()


@pytest.mark.integration
def test_each_file_is_applied_once(database: ClickHouse, clickhouse_settings: ClickHouseSettings) -> None:
    """A second run applies nothing and records nothing; a dry run then lists nothing."""
    assert log_of(database) == [(migration.number, migration.checksum) for migration in FILES]
    assert migrate(clickhouse_settings, single_server()) == []
    assert migrate(clickhouse_settings, single_server(), dry_run=True) == []
    assert log_of(database) == [(migration.number, migration.checksum) for migration in FILES]


@pytest.mark.integration
def test_a_half_applied_file_is_completed(database: ClickHouse, clickhouse_settings: ClickHouseSettings) -> None:
    """A run that died in the middle of a file is finished by the next, and what it had made keeps its rows."""
    tables = set(database.rows("SELECT name FROM system.tables WHERE database = currentDatabase()"))
    database.insert("stored_prices", ["provider", "model", "unit"], [("p", "m", "u")])
    last = FILES[-1]
    views = [name for (name,) in tables if name in {"usage_by_subject", "model_costs"}]
    for name in [*views, "stored_rolled_up_batches", "stored_charges"]:
        kind = "VIEW" if name in views else "TABLE"
        database.execute(f"DROP {kind} {name} SYNC")
    database.execute("DELETE FROM stored_migrations WHERE number >= 3")
    assert migrate(clickhouse_settings, single_server()) == FILES[2:]
    assert set(database.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")) == tables
    assert database.scalar("SELECT count() FROM stored_prices") == 1
    assert log_of(database)[-1] == (last.number, last.checksum)


@pytest.mark.integration
def test_history_is_checked_against_the_database(
    database: ClickHouse, clickhouse_settings: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed file and an unknown newer one are refused, and nothing is applied."""
    changed = [*FILES[:-1], replace(FILES[-1], sql=FILES[-1].sql + "\n")]
    monkeypatch.setattr(migrations, "packaged", lambda: changed)
    with pytest.raises(Misconfigured, match="was changed"):
        migrate(clickhouse_settings, single_server())
    monkeypatch.setattr(migrations, "packaged", lambda: FILES[:-1])
    with pytest.raises(Misconfigured, match=f"{FILES[-1].name}, which this version"):
        migrate(clickhouse_settings, single_server())
    assert len(log_of(database)) == len(FILES)
