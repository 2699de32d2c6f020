"""A part of ClickHouse cannot be read: the product's own audit must see it, and the runbook must bring its rows back.

So it is after a merge on a disk that was full, and with a disk that loses blocks. Nothing is broken on the way; when
all is stored and rolled up, the largest part of a table is spoiled.
"""

from __future__ import annotations

from random import Random
from typing import Final

from chaos.faults.fault import Fault
from chaos.lost_parts import bring_back, set_aside, spoil_largest, unreadable
from chaos.world import World
from taximeter_schemas.errors import Retryable

_TABLES: Final = ("stored_events", "stored_ingest_batches", "stored_run_costs", "stored_charges")


def roll_up(world: World, rng: Random) -> None:
    """Nothing is broken yet."""
    world.start_sink()
    world.await_stored(rng.randrange(200, 800))


def spoiled(world: World, rng: Random) -> None:
    """Spoils one, and mends it by the runbook. Raises Retryable where nobody sees it."""
    part = spoil_largest(world, rng.choice(_TABLES))
    found = unreadable(world)
    if found != [part]:
        raise Retryable(f"{part} was spoiled, and what cannot be read is {found}")
    world.injected.append(f"{part} spoiled")
    set_aside(world)
    bring_back(world)


FAULTS = (
    Fault(
        "part_spoiled",
        f"the largest part of one of {', '.join(_TABLES)} cannot be read; the audit sees it, a replay mends it",
        roll_up,
        settle=spoiled,
        own_servers=True,
        tested=False,
    ),
)
