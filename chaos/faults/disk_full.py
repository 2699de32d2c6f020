"""ClickHouse's disk is full until somebody makes it larger.

A merge that is under way at that moment may leave a part that cannot be read, in the place of those that it merged:
then what the runbook says is done here, too.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from random import Random

from chaos.faults.fault import Fault
from chaos.lines import AWAY
from chaos.parts import bring_back, merging, set_aside, unreadable
from chaos.small_disk import fill, grow, small_disk
from chaos.world import World

_SMALL_MB, _LARGE_MB = 256, 1_024
_MOST_LEFT = 3 * 2**20


def data_of(servers: Path) -> Path:
    """Where the stack's ClickHouse keeps its data."""
    return servers / "clickhouse" / "data"


def on_a_small_disk(servers: Path) -> AbstractContextManager[None]:
    """ClickHouse alone gets it: the broker's log lies elsewhere."""
    return small_disk(data_of(servers), _SMALL_MB)


def disk_full(world: World, rng: Random) -> None:
    """It is filled up to a random rest, so that the first thing to fail differs; the sink waits until it is grown."""
    sink = world.start_sink()
    world.await_stored(rng.randrange(1, 1_000))
    disk = data_of(world.addresses.data_dir)
    fill(disk, rng.choice((0, rng.randrange(_MOST_LEFT))))
    before = sink.log().count(AWAY)
    world.await_condition(lambda: sink.log().count(AWAY) >= before + 3, "the sink to find the disk full")
    world.injected.append("ClickHouse's disk full")
    grow(disk, _LARGE_MB)
    world.await_condition(lambda: not merging(world), "merges to end")
    lost = unreadable(world)
    if lost:
        set_aside(world)
        code, _ = bring_back(world)
        world.injected.append(f"{', '.join(lost)} lost by it; the audit ended with {code}")
    world.await_stored(world.stored() + 1)


FAULTS = (
    Fault(
        "clickhouse_disk_full",
        "ClickHouse's disk is full until it is grown",
        disk_full,
        own_servers=True,
        tested=False,
        around=on_a_small_disk,
    ),
)
