"""The broker is away for metered executors, alone or with everybody else, and comes back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from chaos.lines import behind, broker_line
from chaos.own_servers import BROKER
from chaos.process import Process
from chaos.proxy import CUT, HALF_OPEN, PASS, Proxy
from chaos.world import World

_CUT, _HALF_OPEN, _STOPPED = "the way to the broker cut", "connections to the broker half-open", "the broker stopped"


class Outage:
    """`begin` and `end` it; metered executors are started through it, because they reach the broker by a line."""

    def __init__(self, world: World, line: Proxy, how: str) -> None:
        self._world, self._line, self._how = world, line, how

    def start_metered(self, *options: str) -> Process:
        """Starts a metered executor behind the line."""
        with behind(self._world, broker=self._line):
            return self._world.start_metered(*options)

    def begin(self) -> None:
        """From now on the broker is away."""
        self._world.injected.append(self._how)
        if self._how == _STOPPED:
            self._world.own_servers.signal(BROKER, signal.SIGSTOP)
        else:
            self._line.set(CUT if self._how == _CUT else HALF_OPEN)

    def end(self) -> None:
        """It is back. Harmless when it was."""
        if self._how == _STOPPED:
            self._world.own_servers.signal(BROKER, signal.SIGCONT)
        self._line.set(PASS)


@contextmanager
def outage(world: World, rng: Random) -> Iterator[Outage]:
    """An outage that ends with the block at the latest. The seed says how the broker is away: stopped itself, where the
    servers are the run's own, or out of reach."""
    how = rng.choice((_CUT, _HALF_OPEN) if world.servers is None else (_CUT, _HALF_OPEN, _STOPPED))
    away = Outage(world, broker_line(world), how)
    try:
        yield away
    finally:
        away.end()
