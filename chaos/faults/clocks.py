"""Clocks that are off: executors a day or forty away, events that arrive late, and an order that is none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from chaos.altered import DAY, shifted
from chaos.faults.fault import Fault
from chaos.journal import Entry
from chaos.streams import entry_of, made_events
from chaos.world import World
from taximeter_infra.simulate.generator import events
from taximeter_infra.simulate.plan import SimulationPlan

_OFF: Final = (-40 * DAY, -DAY, 0 * DAY, DAY, 40 * DAY)
_LATE_DAYS: Final = 34
_WINDOW: Final = 200
_BEGIN: Final = datetime(2026, 6, 20, tzinfo=UTC)


def off(seed: int, count: int) -> Iterator[Entry]:
    """Events of executors whose clocks are off; the clock of the ids and that of the times may differ."""
    rng = Random(f"clocks/{seed}")
    clocks: dict[str, tuple[timedelta, timedelta]] = {}
    for number, event in enumerate(made_events(seed, count)):
        clock = rng.choice(_OFF)
        ids, times = clocks.setdefault(event.run_id, (clock, clock if rng.random() < 0.7 else rng.choice(_OFF)))
        yield entry_of(number, shifted(event, ids, times))


def late(seed: int, count: int) -> Iterator[Entry]:
    """Events over 34 days, shuffled; one in ten is held back and arrives when all others have, up to 34 days late."""
    rng = Random(f"late/{seed}")
    pace = count / (_LATE_DAYS * DAY).total_seconds()
    made = list(events(SimulationPlan(count, seed=seed, start=_BEGIN, pace=pace)))
    held = [event for event in made if rng.random() < 0.1]
    back = {event.event_id for event in held}
    timely = [event for event in made if event.event_id not in back]
    for begin in range(0, len(timely), _WINDOW):
        window = timely[begin : begin + _WINDOW]
        rng.shuffle(window)
        timely[begin : begin + _WINDOW] = window
    rng.shuffle(held)
    for number, event in enumerate((*timely, *held)):
        yield entry_of(number, event)


def rolled_up_along(world: World, _: Random) -> None:
    """Nothing is broken but the input; rollups follow, so that what comes late finds them made."""
    world.start_sink()
    if not world.running("aggregator"):
        world.start_aggregator()
    world.injected.append("events out of time")
    world.await_acked(world.input.events)


FAULTS = (
    Fault(
        "clocks_off",
        "executors' clocks off by a day and by 40, both ways, in ids and times",
        rolled_up_along,
        stream="chaos.faults.clocks:off",
        tested=False,
        aggregates_along=False,
    ),
    Fault(
        "late_events",
        "events out of order and up to 34 days late",
        rolled_up_along,
        stream="chaos.faults.clocks:late",
        tested=False,
        aggregates_along=False,
    ),
)
