"""Repeats: half of all events twice, over batches, partitions and days; the same id with another payload or account."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Final

from chaos.altered import another_payload
from chaos.faults.clocks import rolled_up_along
from chaos.faults.fault import Fault
from chaos.journal import Entry
from chaos.streams import entry_of
from chaos.world import PARTITIONS, World
from taximeter_infra.simulate.generator import events
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_schemas.event import MeterEvent

_DAYS: Final = 12
_BEGIN: Final = datetime(2026, 7, 25, tzinfo=UTC)
# How many events later the repeat comes: in the same batch, in the next ones, long after.
_LATER: Final = (1, 5, 100, 700)


def over_days(seed: int, count: int) -> Iterator[MeterEvent]:
    """Events over twelve days and the end of a month."""
    pace = count / (_DAYS * 86_400)
    return events(SimulationPlan(count, seed=seed, start=_BEGIN, pace=pace))


def twice(seed: int, count: int) -> Iterator[Entry]:
    """Every other event twice, in any partition."""
    rng = Random(f"twice/{seed}")
    return _with_repeats(seed, count, rng, lambda event: [entry_of(0, event, counts=False)])


def same_id(seed: int, count: int) -> Iterator[Entry]:
    """Events whose id comes again: with another payload, after the first has arrived, or in another account."""
    rng = Random(f"same_id/{seed}")

    def repeats(event: MeterEvent) -> list[Entry]:
        if rng.random() < 0.4:
            return [entry_of(0, event.model_copy(update={"account_id": f"{event.account_id}-b", "duration_us": 7}))]
        return [replace(entry_of(0, another_payload(event, rng), counts=False), after_acks=True)]

    return _with_repeats(seed, count, rng, repeats, share=0.15)


def _with_repeats(
    seed: int, count: int, rng: Random, repeats: Callable[[MeterEvent], list[Entry]], share: float = 0.5
) -> Iterator[Entry]:
    """The stream with, for a share of the events, `repeats` some events later."""
    number = 0
    due: list[tuple[int, int, Entry]] = []
    for at, event in enumerate(over_days(seed, count)):
        while due and due[0][0] <= at:
            yield replace(heapq.heappop(due)[2], number=number)
            number += 1
        yield entry_of(number, event)
        number += 1
        if rng.random() < share:
            for entry in repeats(event):
                elsewhere = rng.randrange(PARTITIONS) if rng.random() < 0.5 else None
                heapq.heappush(due, (at + rng.choice(_LATER), at, replace(entry, partition=elsewhere)))
    while due:
        yield replace(heapq.heappop(due)[2], number=number)
        number += 1


def without_merges(world: World, rng: Random) -> None:
    """No merge may come between a copy that was first taken for the event and the tick that sees the first arrival.

    It would leave no trace of the run that the copy named, whose row in the rollups then waits for a rebuild.
    """
    world.stop_merges()
    rolled_up_along(world, rng)


FAULTS = (
    Fault(
        "repeats",
        "half of all events twice, over batches, partitions and days",
        rolled_up_along,
        stream="chaos.faults.repeats:twice",
        events=1_000,
        tested=False,
        aggregates_along=False,
    ),
    Fault(
        "same_id",
        "the same id with another payload (the first arrival counts) and in another account (both count)",
        without_merges,
        stream="chaos.faults.repeats:same_id",
        events=1_000,
        aggregates_along=False,
    ),
)
