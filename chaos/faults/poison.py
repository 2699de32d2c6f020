"""Bad records of every kind: a few, many with the gate open, and a flood that must stop the partition."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from chaos.altered import bad_entry
from chaos.faults.fault import Fault
from chaos.journal import Entry
from chaos.streams import entry_of, made_events
from chaos.world import World
from taximeter_schemas.errors import Retryable

_RATE: Final = "TAXIMETER_SINK_POISON_RATE"
_WINDOW: Final = "TAXIMETER_SINK_POISON_WINDOW"
_STOPPED: Final = "PARTITION STOPPED"


def spoiled(seed: int, count: int, share: float) -> Iterator[Entry]:
    """Events, and among them a share of records of every bad kind."""
    rng = Random(f"poison/{seed}/{share}")
    number = 0
    for at, event in enumerate(made_events(seed, count)):
        if rng.random() < share or at == count // 3:
            yield bad_entry(number, event, rng)
            number += 1
        yield entry_of(number, event)
        number += 1


def few(seed: int, count: int) -> Iterator[Entry]:
    """One record in a thousand is bad."""
    return spoiled(seed, count, 0.001)


def many(seed: int, count: int) -> Iterator[Entry]:
    """One record in twenty is bad."""
    return spoiled(seed, count, 0.05)


def with_some_killed(world: World, rng: Random) -> None:
    """Sinks die in the midst of dead letters, too."""
    for point in ("sink.after_insert", "sink.after_dead_letters"):
        where = f"{point}@{rng.randint(1, 4)}"
        world.await_death(world.start_sink(failpoint=where), where)
    world.start_sink()


def gate_open(world: World, rng: Random) -> None:
    """The operator lets all of them go to the dead letters."""
    world.environment[_RATE] = "1"
    with_some_killed(world, rng)


def flood(world: World, _: Random) -> None:
    """The share is above what a sink takes for accidents: it stops, keeps its place and says so until it may go on."""
    world.environment[_WINDOW] = "200"
    sink = world.start_sink()
    world.await_said(sink, _STOPPED)
    world.await_acked(world.input.events)
    sink.stop()
    world.injected.append("a flood of bad records stopped a partition")
    # Another finds the same.
    again = world.start_sink()
    world.await_said(again, _STOPPED)
    again.stop()
    if world.stored() >= len(world.written().acks):
        raise Retryable("the partition was said to be stopped, and all of it is stored")
    world.environment[_RATE] = "1"
    world.start_sink()


FAULTS = (
    Fault(
        "poison_few",
        "one record in a thousand is bad, of every kind, and sinks die among them",
        with_some_killed,
        stream="chaos.faults.poison:few",
        events=3_000,
        rate=2_000,
        tested=False,
    ),
    Fault(
        "poison_many",
        "one record in twenty is bad and the operator lets them pass; sinks die among them",
        gate_open,
        stream="chaos.faults.poison:many",
        tested=False,
    ),
    Fault(
        "poison_flood",
        "one record in twenty is bad: the partitions stop, and go on when the operator lets them",
        flood,
        stream="chaos.faults.poison:many",
        events=1_500,
        tested=False,
    ),
)
