"""Migrations: numbered SQL files, applied once each in order, recorded with their checksums.

An applied file is frozen: if its text changes afterwards, `migrate` refuses and says so. A run that dies between two
statements of a file leaves the file unrecorded, and the next run applies it again: `CREATE` statements are made
`IF NOT EXISTS` on the way, so that this is safe. Two runs at once are safe for the same reason.

The files carry placeholders for what differs between one server and a cluster: table engines and `ON CLUSTER`. What a
cluster makes of them is in `cluster`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from taximeter_consumers.clickhouse import connect
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from taximeter_schemas.settings import ClickHouseSettings

_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
_CREATE = re.compile(r"^(CREATE (?:TABLE|VIEW)) ", re.MULTILINE)

LOG = """
CREATE TABLE IF NOT EXISTS stored_migrations {on_cluster}
(
    number      UInt16,
    name        String,
    checksum    String COMMENT 'SHA-256 of the file, hexadecimal',
    applied_at  DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {ReplacingMergeTree}(applied_at)
ORDER BY number
"""

_LOG_THERE = "SELECT 1 FROM system.tables WHERE database = {database:String} AND name = 'stored_migrations'"


@dataclass(frozen=True)
class Statement:
    """One statement, and the database that it is run in."""

    database: str
    sql: str


@dataclass(frozen=True)
class Migration:
    """One file: its number, its name, its SQL with placeholders."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def statements(self, engines: Mapping[str, str]) -> list[str]:
        """The statements in order, placeholders filled, comments before a statement dropped."""
        return [_fill(template, engines) for template in self.templates()]

    def templates(self) -> list[str]:
        """The same with the placeholders as they are."""
        return [_CREATE.sub(r"\1 IF NOT EXISTS ", part) for part in _split(self.sql)]


def single_server() -> dict[str, str]:
    """The placeholders of one server without a Keeper."""
    return {
        "on_cluster": "",
        "ReplacingMergeTree": "ReplacingMergeTree",
        "deduplication_window": "non_replicated_deduplication_window",
    }


def packaged() -> list[Migration]:
    """The files that come with the package, by number."""
    folder = resources.files("taximeter_infra") / "migrations"
    named = ((entry.name, entry) for entry in folder.iterdir())
    found = [
        Migration(int(match.group(1)), name.removesuffix(".sql"), entry.read_text(encoding="utf-8"))
        for name, entry in named
        if (match := _NAME.match(name))
    ]
    return sorted(found, key=lambda migration: migration.number)


def pending(files: Sequence[Migration], applied: Mapping[int, tuple[str, str]]) -> list[Migration]:
    """The files still to apply, given number -> (name, checksum) of those applied.

    Raises Misconfigured for a file that was changed after it was applied, and for a database newer than this code.
    """
    for migration in files:
        recorded = applied.get(migration.number)
        if recorded is not None and recorded[1] != migration.checksum:
            raise Misconfigured(
                f"migration {migration.name} was changed after it was applied",
                mend="restore the file as it was applied; what should be different goes into a new file",
            )
    unknown = sorted(set(applied) - {migration.number for migration in files})
    if unknown:
        raise Misconfigured(
            f"the database has migration {applied[unknown[0]][0]}, which this version of Taximeter does not know",
            mend="upgrade Taximeter to the version that applied it",
        )
    return [migration for migration in files if migration.number not in applied]


def migrate(settings: ClickHouseSettings, engines: Mapping[str, str], *, dry_run: bool = False) -> list[Migration]:
    """Creates the database if need be and applies what is pending. Returns what was applied.

    A `dry_run` creates nothing and returns what would be applied.
    """
    server = connect(settings, database="default")
    try:
        if not dry_run:
            server.execute(f"CREATE DATABASE IF NOT EXISTS `{settings.database}` {engines['on_cluster']}")
        elif not server.rows(_LOG_THERE, {"database": settings.database}):
            return pending(packaged(), {})
    finally:
        server.close()
    database = connect(settings)
    try:
        if not dry_run:
            database.execute(_fill(LOG, engines))
        rows = database.rows("SELECT number, name, checksum FROM stored_migrations FINAL")
        todo = pending(packaged(), {number: (name, checksum) for number, name, checksum in rows})
        for migration in () if dry_run else todo:
            for statement in migration.statements(engines):
                database.execute(statement)
            record = [(migration.number, migration.name, migration.checksum)]
            database.insert("stored_migrations", ["number", "name", "checksum"], record)
        return todo
    finally:
        database.close()


def script(database: str, engines: Mapping[str, str]) -> str:
    """All statements for `clickhouse-client`, those of the record of migrations included."""
    parts = [
        f"CREATE DATABASE IF NOT EXISTS `{database}` {engines['on_cluster']}".strip(),
        f"USE `{database}`",
        _fill(LOG, engines).strip(),
        *(statement for migration in packaged() for statement in migration.statements(engines)),
    ]
    return ";\n\n".join(parts) + ";\n"


def _split(sql: str) -> Iterable[str]:
    """Statements end with a semicolon at a line's end; a semicolon inside a line is text."""
    for part in re.split(r";[ \t]*\n", sql + "\n"):
        lines = [line for line in part.splitlines() if not line.lstrip().startswith("--")]
        statement = "\n".join(lines).strip()
        if statement:
            yield statement


def _fill(sql: str, engines: Mapping[str, str]) -> str:
    for placeholder, text in engines.items():
        sql = sql.replace("{" + placeholder + "}", text)
    return sql
