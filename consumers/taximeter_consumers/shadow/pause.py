"""Holding up inserts into one table without asking those who insert: the server refuses them as it does when merges
are behind, and sinks wait and try again as they always do.

A pause is a setting of the table, so it outlives whoever made it; the journal says that it was made, and the next call
lifts it. An insert that began before the pause may still end; `drained` waits for those.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

_REFUSE: Final = "parts_to_throw_insert = 1, parts_to_delay_insert = 0, max_avg_part_size_for_too_many_parts = 0"
_NAMES: Final = "parts_to_throw_insert, parts_to_delay_insert, max_avg_part_size_for_too_many_parts"
_HAS: Final = """
SELECT match(create_table_query, 'parts_to_throw_insert = 1(,|\\\\s|$)') FROM system.tables
WHERE database = {database:String} AND name = {table:String}
"""
# By their ids: one that began before the look and is gone at the next has ended.
_RUNNING: Final = """
SELECT query_id FROM system.processes
WHERE query_kind = 'Insert' AND current_database IN {databases:Array(String)} AND query_id != queryID()
"""
_LOOK_SECONDS: Final = 0.02


def pause(clickhouse: ClickHouse, table: str) -> None:
    """Refuses inserts into a table from now on, if it has any part."""
    clickhouse.execute(f"ALTER TABLE {table} MODIFY SETTING {_REFUSE}")


def is_paused(clickhouse: ClickHouse, table: str) -> bool:
    """Whether inserts are refused."""
    return bool(clickhouse.scalar(_HAS, {"database": clickhouse.database, "table": table}))


def resume(clickhouse: ClickHouse, table: str) -> None:
    """Takes inserts again; nothing where they were taken."""
    if is_paused(clickhouse, table):
        clickhouse.execute(f"ALTER TABLE {table} RESET SETTING {_NAMES}")


def running_inserts(clickhouse: ClickHouse, databases: list[str]) -> set[str]:
    """The ids of the inserts that run now from connections to these databases."""
    return {query_id for (query_id,) in clickhouse.rows(_RUNNING, {"databases": databases})}


def drained(clickhouse: ClickHouse, databases: list[str], patience_seconds: float = 120.0) -> None:
    """Returns when every insert that runs now has ended. Raises Retryable when one goes on for too long."""
    left, until = running_inserts(clickhouse, databases), time.monotonic() + patience_seconds
    while left := left & running_inserts(clickhouse, databases):
        if time.monotonic() > until:
            raise Retryable(
                f"an insert has been running for {patience_seconds:.0f} s (query {min(left)}); look at system.processes"
            )
        time.sleep(_LOOK_SECONDS)
