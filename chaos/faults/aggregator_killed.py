"""Kill -9 of the aggregator at each step of a tick, and at random."""

from __future__ import annotations

from random import Random

from chaos.faults.fault import Fault, Inject
from chaos.world import World
from taximeter_consumers.failpoints import AGGREGATE

_LATEST_VISIT = 2


def killed_at(*points: str) -> Inject:
    """An aggregator dies at each of the points, one after the other, while a sink stores."""

    def inject(world: World, rng: Random) -> None:
        world.start_sink()
        for point in points:
            where = f"{point}@{rng.randint(1, _LATEST_VISIT)}"
            aggregator = world.start_aggregator(failpoint=where)
            world.await_death(aggregator, where)

    return inject


def killed_at_random(world: World, rng: Random) -> None:
    """Kills aggregators some moments after they began to work."""
    world.start_sink()
    for _ in range(6 if world.long else 2):
        goal = world.stored() + rng.randrange(1, 600)
        aggregator = world.start_aggregator()
        world.await_stored(goal)
        aggregator.kill()
        world.injected.append(f"aggregator killed after {goal} records")


def _death(point: str) -> Fault:
    name = point.replace("aggregate.", "aggregator_killed_")
    breaks = f"kill -9 of the aggregator at {point}, twice"
    return Fault(name, breaks, killed_at(point, point), tested=False, aggregates_along=False)


FAULTS = (
    Fault(
        "aggregator_killed_everywhere",
        f"kill -9 of the aggregator at {', '.join(AGGREGATE)}, once each",
        killed_at(*AGGREGATE),
        aggregates_along=False,
    ),
    *map(_death, AGGREGATE),
    Fault(
        "aggregator_killed_at_random",
        "kill -9 of the aggregator while it works, twice",
        killed_at_random,
        tested=False,
        aggregates_along=False,
    ),
)
