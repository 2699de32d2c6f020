"""Kill -9 of the sink: at each place between intent and commit, and at random."""

from __future__ import annotations

from random import Random

from chaos.faults.fault import Fault, Inject
from chaos.world import World
from taximeter_consumers.failpoints import SINK

_LATEST_VISIT = 4


def killed_at(*points: str) -> Inject:
    """A sink dies at each of the points, one after the other, each at some visit."""

    def inject(world: World, rng: Random) -> None:
        for point in points:
            where = f"{point}@{rng.randint(1, _LATEST_VISIT)}"
            sink = world.start_sink(failpoint=where)
            world.await_death(sink, where)

    return inject


def killed_at_random(world: World, rng: Random) -> None:
    """Kills sinks after some more records each time, wherever they are."""
    for _ in range(6 if world.long else 2):
        goal = world.stored() + rng.randrange(1, 600)
        sink = world.start_sink()
        world.await_stored(goal)
        sink.kill()
        world.injected.append(f"sink killed after {goal} records")


def _death(point: str) -> Fault:
    name = point.replace("sink.", "sink_killed_")
    return Fault(name, f"kill -9 of the sink at {point}, twice", killed_at(point, point), tested=False)


FAULTS = (
    Fault(
        "sink_killed_everywhere",
        f"kill -9 of the sink at {', '.join(SINK)}, once each",
        killed_at(*SINK),
    ),
    *map(_death, SINK),
    Fault("sink_killed_at_random", "kill -9 of the sink after some records, twice", killed_at_random, tested=False),
)
