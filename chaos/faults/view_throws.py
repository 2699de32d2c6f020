"""A materialized view on stored_events throws: the sink is refused good records, and may set none of them aside."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from chaos.faults.fault import Fault
from chaos.faults.poison import spoiled
from chaos.journal import Entry
from chaos.world import World

_NOT_YET: Final = "not stored yet"
# Each refuses some rows or all, with a code by which the engine also refuses data.
_VIEWS: Final = {
    "throwIf for all rows": "throwIf(length(account_id) > 0, 'a view that throws')",
    "throwIf for some rows": "throwIf(cityHash64(event_id) % 50 = 0, 'a view that throws')",
    "a text that is no number": "toInt32(concat('x', account_id))",
    "a text that is no number, in some rows": "toInt32(if(cityHash64(event_id) % 50 = 0, 'x', '1'))",
    "a division by zero": "intDiv(1, executions - executions)",
}


def some_bad(seed: int, count: int) -> Iterator[Entry]:
    """A few bad records among them, which must be told from those that only the view refuses."""
    return spoiled(seed, count, 0.004)


def throws(world: World, rng: Random) -> None:
    """An operator puts a view on the table that throws, from the start or in the midst, and drops it again."""
    sink = world.start_sink()
    if rng.random() < 0.5:
        world.await_stored(rng.randrange(1, 600))
    kind = rng.choice(sorted(_VIEWS))
    world.clickhouse.execute(
        f"CREATE MATERIALIZED VIEW throws ENGINE = Null AS SELECT {_VIEWS[kind]} AS thrown FROM stored_events"
    )
    world.await_said(sink, _NOT_YET)
    world.injected.append(f"a view on stored_events: {kind}")
    world.await_acked(world.input.events)
    if rng.random() < 0.5:
        sink.kill()
        sink = world.start_sink()
        world.await_said(sink, _NOT_YET)
    world.clickhouse.execute("DROP VIEW throws SYNC")


FAULTS = (
    Fault(
        "view_throws",
        "a materialized view on stored_events throws for a while",
        throws,
        stream="chaos.faults.view_throws:some_bad",
        events=1_500,
    ),
)
