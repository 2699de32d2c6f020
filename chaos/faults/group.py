"""Trouble in the consumer group: a sink that sleeps past its session, and a storm of joins and leaves."""

from __future__ import annotations

import signal
from random import Random

from chaos.faults.fault import Fault
from chaos.world import World

# Long enough that hardly a sink on a busy machine is taken for dead, and members soon hear of each other.
_SHORT_SESSION_MS = "2000"
_SESSION = "TAXIMETER_SINK_SESSION_TIMEOUT_MS"
_AWAKE = ("joining the group anew", "partitions lost", "commit not taken", "last commit not taken")


def zombie(world: World, rng: Random) -> None:
    """A sink sleeps in the middle of its work until another has taken its partitions over, and wakes up."""
    world.environment[_SESSION] = _SHORT_SESSION_MS
    sleeper = world.start_sink(instance=None)
    world.await_stored(rng.randrange(1, 1_500))
    sleeper.signal(signal.SIGSTOP)
    world.injected.append("a sink stopped past its session")
    before = world.stored()
    successor = world.start_sink(instance=None)
    world.await_condition(lambda: world.stored() > before, "the successor to take over")
    if rng.random() < 0.5:  # else it wakes in the middle of the successor's work
        world.await_said(successor, "partitions assigned")
        world.enough.touch()
        world.await_condition(world.quiet, "the successor to store everything")
    sleeper.signal(signal.SIGCONT)
    world.await_said(sleeper, *_AWAKE)


def storm(world: World, rng: Random) -> None:
    """One sink stays, others join and leave, again and again; each leaves once it has been given partitions."""
    world.environment[_SESSION] = _SHORT_SESSION_MS
    world.start_sink(instance=None)
    for _ in range(60 if world.long else 6):
        guest = world.start_sink(instance=None)
        world.await_said(guest, "partitions assigned")
        if rng.random() < 0.5:
            world.await_stored(world.stored() + rng.randrange(1, 200))
        guest.stop()
    world.injected.append("rebalance storm")


FAULTS = (
    Fault("zombie", "a sink sleeps past its session while another takes over, and wakes", zombie),
    Fault("rebalance_storm", "sinks join and leave the group, 6 times (60 with --long)", storm, rate=500),
)
