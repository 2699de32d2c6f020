"""Migrated databases for tests, made by the migrations once and then handed out empty, over and over.

Applying every migration costs most of a second, so a database is used again. What holds:

* Whoever borrows finds what `migrate` leaves: every table and view by its text, no rows but those of the migrations, no
  remembered deduplication tokens, no stopped merges, no mutations. A used table is replaced by a new one, not emptied.
* A database whose tables, views or migrations a test has changed is dropped, and the next borrower gets a new one.
* It is cleaned when it is lent again, not when it comes back, and two take turns: a statement that a killed process has
  left behind ends while another database is in use. One in which a statement still runs then is dropped, too.
"""

from __future__ import annotations

import re
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_infra.migrate import migrate, single_server
from taximeter_schemas.settings import ClickHouseSettings

_TEXTS = "SELECT name, create_table_query FROM system.tables WHERE database = {database:String} ORDER BY name"
_MIGRATIONS = "SELECT * FROM {database:Identifier}.stored_migrations ORDER BY ALL"
# Parts that are merged or deleted count, too: there was something. Only a table that keeps tokens remembers more.
_USED = """
SELECT table FROM system.parts WHERE database = {database:String}
UNION DISTINCT SELECT table FROM system.mutations WHERE database = {database:String}
UNION DISTINCT SELECT table FROM system.detached_parts WHERE database = {database:String}
"""
_RUNNING = "SELECT count() FROM system.processes WHERE current_database = {database:String}"
_LOG = "stored_migrations"
_KEEPS_TOKENS = re.compile(r"deduplication_window = [1-9]")


@dataclass(frozen=True)
class _Made:
    """A database as `migrate` left it."""

    name: str
    texts: tuple[tuple[str, str], ...]
    migrations: tuple[tuple[object, ...], ...]


class Databases:
    """Those of one server. Not for several threads."""

    def __init__(self, url: SecretStr, turns: int = 2) -> None:
        self._url = url
        self._turns = turns
        self._free: deque[_Made] = deque()

    def _borrow(self) -> _Made:
        """A clean one, for one test at a time."""
        while len(self._free) >= self._turns:
            made = self._free.popleft()
            if self._clean(made):
                return made
        return self._make()

    def _give_back(self, made: _Made) -> None:
        """After the test; as it is."""
        self._free.append(made)

    @contextmanager
    def borrowed(self) -> Iterator[ClickHouseSettings]:
        """How to reach a clean one, which is given back at the end."""
        made = self._borrow()
        try:
            yield ClickHouseSettings(url=self._url, database=made.name)
        finally:
            self._give_back(made)

    def _make(self) -> _Made:
        name = f"metering_test_{secrets.token_hex(6)}"
        settings = ClickHouseSettings(url=self._url, database=name)
        migrate(settings, single_server())
        with closing(connect(settings)) as clickhouse:
            return _Made(name, _texts(clickhouse, name), _migrations(clickhouse, name))

    def _clean(self, made: _Made) -> bool:
        """Whether it could be made as new; dropped otherwise."""
        settings = ClickHouseSettings(url=self._url, database=made.name)
        with closing(connect(settings, database="default")) as clickhouse:
            if _unchanged(clickhouse, made):
                used = {table for (table,) in clickhouse.rows(_USED, {"database": made.name})} - {_LOG}
                for table, text in made.texts:
                    if table in used or _KEEPS_TOKENS.search(text):
                        clickhouse.execute(text.replace("CREATE TABLE ", "CREATE OR REPLACE TABLE ", 1))
                return True
            clickhouse.execute(f"DROP DATABASE IF EXISTS {made.name} SYNC")
            return False


def copy_rows(source: ClickHouse, target: ClickHouse) -> None:
    """Makes the rows of every table what they are in another migrated database, part by part. Tokens stay behind."""
    filled = "SELECT DISTINCT table FROM system.parts WHERE active AND database = {database:String}"
    tables = {table for (table,) in source.rows(filled, {"database": source.database})} - {_LOG}
    for table in sorted(tables):
        target.execute(f"TRUNCATE TABLE {table}")
        target.execute(f"ALTER TABLE {table} ATTACH PARTITION ALL FROM {source.database}.{table}")


def _unchanged(clickhouse: ClickHouse, made: _Made) -> bool:
    return (
        clickhouse.scalar(_RUNNING, {"database": made.name}) == 0
        and _texts(clickhouse, made.name) == made.texts
        and _migrations(clickhouse, made.name) == made.migrations
    )


def _texts(clickhouse: ClickHouse, database: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, text in clickhouse.rows(_TEXTS, {"database": database}))


def _migrations(clickhouse: ClickHouse, database: str) -> tuple[tuple[object, ...], ...]:
    return tuple(clickhouse.rows(_MIGRATIONS, {"database": database}))
