"""An emission: what a hook leaves for the emitter's thread, which makes one or more `MeterEvent`s of it.

The host's thread reads the clocks and hands over what it was told, as it was told. Reading, adding up, redaction and
encoding happen later, on the emitter's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from taximeter.attribution import Attribution
from taximeter.faults import Faults
from taximeter_schemas.words import Outcome

Notes = Sequence[Any]
"""What was recorded, two places each: its kind, and the words as they were given (ai, tapped, claimed, http) or a group
that was read (plugin, code, breach, tally). Flat, like the emission itself: each object more that waits for the
emitter's thread makes Python's garbage collector come sooner, on the host's thread.
"""


class Emission(NamedTuple):
    """What one node used; or, with `duration_us=None`, use apart from any execution."""

    attribution: Attribution
    node_id: str
    node_type: str
    attempt: int
    agent_name: str
    occurred_ns: int  # Unix time, nanoseconds; its millisecond is that of the event's id
    notes: Notes
    duration_us: int | None
    said: Outcome | None  # the outcome by `node.outcome`, over everything that would be concluded
    given: Outcome | str | None  # by whoever ended the node
    raised: Outcome | None  # by the exception that left it
    debug: Mapping[str, Any] | None


# A named tuple's own constructor is a function in Python; this makes the same object for a third of the time.
emission_of: Callable[[tuple[Any, ...]], Emission] = partial(tuple.__new__, Emission)


class Outlet(Protocol):
    """Where finished nodes go. The emitter is one; so is the meter that is switched off."""

    @property
    def faults(self) -> Faults:
        """Where hooks note what went wrong."""

    def offer(self, emission: Emission) -> bool:
        """Take the emission over, or drop and count it: whether it was taken. Never raises; never waits beyond its
        bound.
        """
        ...
