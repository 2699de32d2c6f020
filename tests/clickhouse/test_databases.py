"""A borrowed database is as the migrations leave it, whatever the borrower before did in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from tests.databases import Databases

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_infra.migrate import migrate, packaged, single_server
from taximeter_infra.stack.plan import StackAddresses
from taximeter_schemas.settings import ClickHouseSettings

pytestmark = pytest.mark.integration

_TEXTS = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name"
_ROWS = "SELECT name FROM system.tables WHERE database = currentDatabase() AND total_rows > 0"


@pytest.fixture
def databases(local_stack: StackAddresses) -> Databases:
    """None yet; whoever borrows gets the one that came back last."""
    return Databases(local_stack.clickhouse_url, turns=1)


@contextmanager
def borrowed(databases: Databases) -> Iterator[ClickHouse]:
    """A connection to one, for as long as a test has it."""
    with databases.borrowed() as settings, closing(connect(settings)) as clickhouse:
        yield clickhouse


def test_a_used_database_comes_back_as_migrated(databases: Databases, clickhouse_settings: ClickHouseSettings) -> None:
    """Every text is what `migrate` alone makes, the migrations are recorded, and no table has a row or a mutation."""
    with borrowed(databases) as clickhouse:
        used = clickhouse.database
        for number in range(3):
            clickhouse.insert("stored_prices", ["provider", "model", "unit"], [("p", str(number), "u")])
        clickhouse.execute("ALTER TABLE stored_prices DELETE WHERE model = '1'", settings={"mutations_sync": 1})
        clickhouse.execute("INSERT INTO stored_events (account_id) VALUES ('a')")
    migrate(clickhouse_settings, single_server())
    with closing(connect(clickhouse_settings)) as clickhouse:
        texts = [(name, text.replace(clickhouse.database, used)) for name, text in clickhouse.rows(_TEXTS)]
    with borrowed(databases) as clickhouse:
        assert clickhouse.database == used
        assert clickhouse.rows(_TEXTS) == texts
        assert clickhouse.rows(_ROWS) == [("stored_migrations",)]
        assert clickhouse.scalar("SELECT count() FROM system.mutations WHERE database = currentDatabase()") == 0
    assert migrate(ClickHouseSettings(url=databases._url, database=used), single_server()) == []


def test_tokens_and_stopped_merges_are_forgotten(databases: Databases) -> None:
    """An insert under the token of an emptied table counts for the next borrower, and parts are merged again."""
    insert = "INSERT INTO stored_events (account_id) SETTINGS insert_deduplication_token = 'x' VALUES ('a')"
    with borrowed(databases) as clickhouse:
        used = clickhouse.database
        for _ in range(2):
            clickhouse.execute(insert)
        assert clickhouse.scalar("SELECT count() FROM stored_events") == 1
        clickhouse.execute("ALTER TABLE stored_events DELETE WHERE 1", settings={"mutations_sync": 1})
        clickhouse.execute("SYSTEM STOP MERGES stored_events")
    with borrowed(databases) as clickhouse:
        assert clickhouse.database == used
        clickhouse.execute(insert)
        clickhouse.execute("INSERT INTO stored_events (account_id) VALUES ('a')")
        assert clickhouse.scalar("SELECT count() FROM stored_events") == 2
        clickhouse.execute("OPTIMIZE TABLE stored_events FINAL", settings={"optimize_throw_if_noop": 1})


def test_a_changed_database_is_never_lent_again(databases: Databases) -> None:
    """It is dropped instead, and the next borrower gets a new one: whatever the change was."""
    changes = (
        "CREATE TABLE more (a Int8) ENGINE = Memory",
        "DROP VIEW events",
        "ALTER TABLE stored_prices ADD COLUMN more Int8",
        f"INSERT INTO stored_migrations (number, name) VALUES ({len(packaged()) + 1}, 'more')",
        "DROP DATABASE {database}",
    )
    for change in changes:
        with borrowed(databases) as clickhouse:
            changed = clickhouse.database
            clickhouse.execute(change.format(database=changed))
        with borrowed(databases) as clickhouse:
            assert clickhouse.database != changed, change
            left = clickhouse.scalar(
                "SELECT count() FROM system.databases WHERE name = {name:String}", {"name": changed}
            )
            assert left == 0


def test_databases_take_turns(local_stack: StackAddresses) -> None:
    """The one that a test has just left rests while the next test works."""
    databases, names = Databases(local_stack.clickhouse_url), []
    for _ in range(4):
        with borrowed(databases) as clickhouse:
            names.append(clickhouse.database)
    assert names[0] == names[2] != names[1] == names[3]


def test_two_borrowers_at_once_have_one_each(databases: Databases) -> None:
    """A database is lent to one at a time, also when there is none to spare."""
    with borrowed(databases) as one, borrowed(databases) as another:
        assert one.database != another.database
