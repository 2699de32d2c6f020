"""Trouble on the way between sink and broker, by a proxy that the broker's answers name as its address.

What the executor sends goes past it, so that there is always something new to store.
"""

from __future__ import annotations

from random import Random

from chaos.faults.fault import Fault, Inject
from chaos.lines import broker_line, last, start_sink_behind
from chaos.proxy import CUT, HALF_OPEN, PASS, Line
from chaos.world import World

_SHORT, _PAST_SESSION = 3.0, 8.0  # seconds; a session ends after 6


def under(line_is: Line, told: str, *, past_session: bool = False) -> Inject:
    """The line is so for some seconds, or with one seed in two past the session; then all is well again."""

    def inject(world: World, rng: Random) -> None:
        line = broker_line(world)
        start_sink_behind(world, broker=line)
        world.await_stored(rng.randrange(1, 1_000))
        line.set(line_is)
        last(world, _PAST_SESSION if past_session and rng.random() < 0.5 else _SHORT)
        world.injected.append(told)
        line.set(PASS)
        world.await_stored(world.stored() + 1)

    return inject


def delayed(world: World, rng: Random) -> None:
    """Something is stored although each word to the broker takes 2 s, and each answer."""
    line = broker_line(world)
    start_sink_behind(world, broker=line)
    world.await_stored(rng.randrange(1, 1_000))
    line.set(Line(delay_seconds=2.0))
    world.await_stored(world.stored() + 1)
    world.injected.append("2 s to the broker, and 2 s back")
    line.set(PASS)
    world.await_stored(world.stored() + 1)


FAULTS = (
    Fault(
        "broker_cut",
        "the way from the sink to the broker is cut for 3 s",
        under(CUT, "the way to the broker cut"),
        tested=False,
    ),
    Fault("broker_delayed", "the way to the broker takes 2 s in each direction", delayed, tested=False),
    Fault(
        "broker_half_open",
        "connections to the broker are accepted and never answered, for some seconds or past the session",
        under(HALF_OPEN, "connections to the broker half-open", past_session=True),
        tested=False,
    ),
)
