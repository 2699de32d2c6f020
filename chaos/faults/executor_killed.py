"""Kill -9 of the executor: at each place between its journal and the broker's acknowledgement, and at random."""

from __future__ import annotations

from random import Random

from chaos.executor import DEATHS
from chaos.faults.fault import Fault, Inject
from chaos.world import World

_LATEST_VISIT = 12


def killed_at(*points: str) -> Inject:
    """The running executor is killed, and another dies at each of the points; what they had sent is sent again."""

    def inject(world: World, rng: Random) -> None:
        world.start_sink()
        for executor in world.running("executor"):
            executor.kill()
        for point in points:
            where = f"{point}@{rng.randint(1, _LATEST_VISIT)}"
            executor = world.start_executor(die=where)
            world.await_death(executor, where)
        world.start_executor()

    return inject


def killed_at_random(world: World, rng: Random) -> None:
    """Kills executors while they send, wherever they are."""
    world.start_sink()
    for _ in range(8 if world.long else 3):
        goal = len(world.written().acks) + rng.randrange(1, 600)
        world.await_acked(goal)
        for executor in world.running("executor"):
            executor.kill()
            world.injected.append(f"executor killed after {goal} acknowledgements")
        world.start_executor()


def _death(point: str) -> Fault:
    breaks = f"kill -9 of the executor at {point}, twice"
    return Fault(f"executor_killed_{point}", breaks, killed_at(point, point), tested=False)


FAULTS = (
    Fault(
        "executor_killed_everywhere",
        f"kill -9 of the executor at {', '.join(DEATHS)}, once each",
        killed_at(*DEATHS),
    ),
    *map(_death, DEATHS),
    Fault(
        "executor_killed_at_random",
        "kill -9 of the executor while it sends, three times",
        killed_at_random,
        tested=False,
    ),
)
