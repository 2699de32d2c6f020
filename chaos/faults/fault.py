"""A fault: a value that says what is broken and how. A new one is a function and a `Fault` in a module of this folder.

`inject` is called while the executor runs. It starts the sinks that it needs, breaks what it breaks, appends to
`world.injected` what it did, and puts everything that it broke right again before it returns; processes may be left
running or dead. What is left in the topic is then stored, and the verdict compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from chaos.streams import PLAIN
from chaos.world import World


class NotHere(Exception):
    """This machine cannot bring the fault about, for the reason told."""


Inject = Callable[[World, Random], None]


@dataclass(frozen=True)
class Fault:
    """`name` is for the command line, `breaks` for people, in one line."""

    name: str
    breaks: str
    inject: Inject
    # What it is about: faults of one group can be run alone.
    group: str = "pipeline"
    # What the executor sends, see `chaos.streams`: so many events, so many a second at most (0: as fast as it goes),
    # and a trickle of further ones until `inject` is back.
    stream: str = PLAIN
    events: int = 2_000
    rate: float = 1_000.0
    # The executor's own patience with the broker, after which it sends a record again.
    message_timeout_ms: int = 300_000
    # Kills, stops or fills the servers, so it needs some that nobody else uses: `world.own_servers`.
    own_servers: bool = False
    # What must stand around servers that are started for one run alone, such as a mount below their directory.
    around: Callable[[Path], AbstractContextManager[object]] | None = None
    # Whether the quick set of `make test` has it; of faults that differ by a place only, one that visits all places.
    tested: bool = True
    # Whether an aggregator may run along (it does with every other seed).
    aggregates_along: bool = True
    # What is still to be done when everything is stored and rolled up, before the verdict.
    settle: Inject | None = None
    # Checks that cannot hold under this fault, each with the reason.
    waives: Mapping[str, str] = field(default_factory=dict)
