"""The parts of ClickHouse's tables: whether they are merged, which of them it cannot read, and what an operator does
about that by the runbook (docs/operations.md)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from chaos.audit import audit
from chaos.own_servers import CLICKHOUSE
from chaos.world import World
from taximeter_schemas.errors import Retryable

_HELD: Final = 0
_MOST_BYTES: Final = 2**20
_LARGEST: Final = """
SELECT name, path FROM system.parts
WHERE database = currentDatabase() AND table = {table:String} AND active ORDER BY rows DESC, name LIMIT 1
"""
_MERGED: Final = """
SELECT count() FROM system.parts WHERE database = currentDatabase() AND table = {table:String} AND NOT active
"""
_TABLES: Final = """
SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name
"""
_NO_MERGES: Final = "max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1"
"""Settings of a table; they last over a restart, which forgets SYSTEM STOP MERGES."""
_CHECK: Final = "CHECK TABLE {table} SETTINGS check_query_single_value_result = 0"
_AGAIN: Final = "what was lost was stored again, beside what was not"


def keep_unmerged(world: World) -> None:
    """Where copies are to stay for counting, they stay over a restart, too."""
    if not world.merges:
        world.clickhouse.execute(f"ALTER TABLE stored_events MODIFY SETTING {_NO_MERGES}")


def unreadable(world: World) -> list[str]:
    """The parts that ClickHouse has and cannot read, with their tables."""
    found = []
    for (table,) in world.clickhouse.rows(_TABLES):
        with world.clickhouse.stream(_CHECK.replace("{table}", str(table)), {}, {}, "JSONEachRow") as read:
            checked = [json.loads(line) for line in read(_MOST_BYTES).splitlines()]
        found += [f"{table}/{one['part_path']}" for one in checked if not int(one["is_passed"])]
    return found


def merging(world: World) -> bool:
    """Whether parts are being merged."""
    return bool(world.clickhouse.scalar("SELECT count() FROM system.merges WHERE database = currentDatabase()"))


def spoil_largest(world: World, table: str) -> str:
    """Empties the largest file of the largest part of a table; returns both, as `unreadable` does. Raises Retryable
    where there is no part."""
    # For minutes the parts that were merged into it are still there, and a restart takes them again. SYSTEM STOP MERGES
    # would keep them for ever.
    world.clickhouse.execute(f"ALTER TABLE {table} MODIFY SETTING {_NO_MERGES}, old_parts_lifetime = 1")
    world.await_condition(lambda: not merging(world), "merges to end")
    world.await_condition(lambda: not world.clickhouse.scalar(_MERGED, {"table": table}), "merged parts to go")
    parts = world.clickhouse.rows(_LARGEST, {"table": table})
    if not parts:
        raise Retryable(f"{table} has no part to lose")
    name, path = parts[0]
    os.truncate(max(Path(str(path)).iterdir(), key=lambda file: file.stat().st_size), 0)
    return f"{table}/{name}"


def set_aside(world: World) -> None:
    """Restarts ClickHouse, which then sets aside what it cannot read. Raises Retryable where it does not."""
    world.own_servers.restart(CLICKHOUSE)
    left = unreadable(world)
    if left:
        raise Retryable(f"after a restart ClickHouse still has {', '.join(left)}, which it cannot read")


def bring_back(world: World) -> tuple[int, str]:
    """Asks the audit, and where it finds something stores the log again. Returns the audit's exit code and words: 0
    where it found nothing, for a part can be lost that held only what newer rows have replaced. The verdict says
    whether it was right."""
    code, told = audit(world)
    if code != _HELD:
        world.run_command("replay", "--from-offset", "0", "--to-clickhouse", "--skip-bad")
        world.waived |= {"copies": _AGAIN, "batches": _AGAIN}
    return code, told
