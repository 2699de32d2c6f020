"""Migrations on a cluster: as `migrate`, with two databases (see `cluster`) and one record of what was applied.

A run that dies leaves the file unrecorded, and the next one applies it again; two runs at once are safe. The record is
on every server, so it may be asked anywhere.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from taximeter_consumers.clickhouse import connect
from taximeter_infra.migrate import packaged, pending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_infra.cluster import ClusterLayout
    from taximeter_infra.migrate import Migration, Statement
    from taximeter_schemas.settings import ClickHouseSettings

_LOG_THERE = "SELECT 1 FROM system.tables WHERE database = {database:String} AND name = 'stored_migrations'"


def migrate_cluster(settings: ClickHouseSettings, layout: ClusterLayout, *, dry_run: bool = False) -> list[Migration]:
    """Creates both databases if need be and applies what is pending. Returns what was applied.

    A `dry_run` creates nothing and returns what would be applied. Raises Retryable or Misconfigured.
    """
    with closing(connect(settings, database="default")) as server:
        if not dry_run:
            for sql in layout.databases():
                server.execute(sql)
        elif not server.rows(_LOG_THERE, {"database": layout.shard_database}):
            return pending(packaged(), {})
    with ExitStack() as held:
        opened = {
            name: held.enter_context(closing(connect(settings, database=name)))
            for name in (layout.shard_database, layout.database)
        }

        def apply(statements: Sequence[Statement]) -> None:
            for statement in statements:
                opened[statement.database].execute(statement.sql)

        if not dry_run:
            apply(layout.log())
        log = opened[layout.shard_database]
        rows = log.rows("SELECT number, name, checksum FROM stored_migrations FINAL")
        todo = pending(packaged(), {number: (name, checksum) for number, name, checksum in rows})
        for migration in () if dry_run else todo:
            apply(layout.statements(migration))
            record = [(migration.number, migration.name, migration.checksum)]
            log.insert("stored_migrations", ["number", "name", "checksum"], record)
        return todo


def script(layout: ClusterLayout) -> str:
    """All statements for `clickhouse-client`, with a USE wherever the database changes."""
    lines = [f"{sql};" for sql in layout.databases()]
    present = ""
    for statement in (*layout.log(), *(made for file in packaged() for made in layout.statements(file))):
        if statement.database != present:
            present = statement.database
            lines.append(f"USE `{present}`;")
        lines.append(f"{statement.sql};")
    return "\n\n".join(lines) + "\n"
