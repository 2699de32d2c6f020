"""Kill -9 of ClickHouse: while it writes a part, and at random."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from chaos.faults.fault import Fault
from chaos.inotify import await_entry
from chaos.own_servers import CLICKHOUSE
from chaos.parts import keep_unmerged
from chaos.world import World

_TABLES = ("stored_events", "stored_events", "stored_ingest_batches")
_LATEST_SECONDS = 0.004


def killed_mid_insert(world: World, rng: Random) -> None:
    """Dies when the directory of a new part appears, or some milliseconds later, before or after it has its name."""
    keep_unmerged(world)
    world.start_sink()
    for _ in range(4 if world.long else 2):
        world.await_stored(world.stored() + rng.randrange(1, 500))
        table = rng.choice(_TABLES)
        directory = directory_of(world, table)
        restarts, pid = world.own_servers.restarts(CLICKHOUSE), world.own_servers.pid(CLICKHOUSE)
        part = await_entry(directory, "tmp_insert_")
        time.sleep(rng.choice((0.0, rng.uniform(0, _LATEST_SECONDS))))
        world.own_servers.kill_at_once(pid)
        left = "still there" if (directory / part).exists() else "gone or renamed"
        world.own_servers.await_return(CLICKHOUSE, restarts)
        world.injected.append(f"ClickHouse killed while it inserted into {table}; the part was {left}")


def killed_between(world: World, rng: Random) -> None:
    """Dies after some more records each time, wherever it is."""
    keep_unmerged(world)
    world.start_sink()
    for _ in range(4 if world.long else 2):
        goal = world.stored() + rng.randrange(1, 500)
        world.await_stored(goal)
        world.own_servers.kill(CLICKHOUSE)
        world.injected.append(f"ClickHouse killed after {goal} records")


def directory_of(world: World, table: str) -> Path:
    """Where ClickHouse keeps the parts of a table."""
    paths = world.clickhouse.scalar(
        "SELECT data_paths[1] FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        {"table": table},
    )
    return Path(str(paths))


FAULTS = (
    Fault(
        "clickhouse_killed_mid_insert",
        "kill -9 of ClickHouse when the directory of a part appears, twice",
        killed_mid_insert,
        own_servers=True,
    ),
    Fault(
        "clickhouse_killed_between",
        "kill -9 of ClickHouse after some records, twice",
        killed_between,
        own_servers=True,
        tested=False,
    ),
)
