"""A part of ClickHouse cannot be read: the product's own audit must see it, and the runbook must bring its rows back.

So it is after a merge on a disk that was full, and with a disk that loses blocks. Nothing is broken on the way; when
all is stored and rolled up, the largest part of a table is spoiled.
"""

from __future__ import annotations

from random import Random
from typing import Final

from chaos.faults.fault import Fault
from chaos.parts import bring_back, set_aside, spoil_largest, unreadable
from chaos.world import World
from taximeter_schemas.errors import Retryable

# What the audit must say when a part of a table is gone. Of rollups a part may hold nothing but what newer rows have
# replaced; then it says nothing.
_SEEN: Final = {
    "stored_events": "have no row in stored_events",
    "stored_ingest_batches": "rows of the ledger are missing",
    "stored_run_costs": "GAP",
    "stored_charges": "GAP",
}
_MAY_BE_REPLACED: Final = frozenset({"stored_run_costs", "stored_charges"})


def roll_up(world: World, rng: Random) -> None:
    """Nothing is broken yet."""
    world.start_sink()
    world.await_stored(rng.randrange(200, 800))


def spoiled(world: World, rng: Random) -> None:
    """Spoils one, and mends it by the runbook. Raises Retryable where nobody sees it."""
    table = rng.choice(tuple(_SEEN))
    part = spoil_largest(world, table)
    found = unreadable(world)
    if found != [part]:
        raise Retryable(f"{part} was spoiled, and what cannot be read is {found}")
    world.injected.append(f"{part} spoiled")
    set_aside(world)
    code, told = bring_back(world)
    if _SEEN[table] not in told and not (code == 0 and table in _MAY_BE_REPLACED):
        raise Retryable(f"{part} is lost, and the audit ends with {code}:\n{told}")


FAULTS = (
    Fault(
        "part_spoiled",
        f"the largest part of one of {', '.join(_SEEN)} cannot be read; the audit sees it, a replay mends it",
        roll_up,
        settle=spoiled,
        own_servers=True,
        tested=False,
    ),
)
