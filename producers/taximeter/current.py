"""Where the code is: the innermost run and node of this context, by `contextvars`.

They follow into tasks by themselves and into threads with `asyncio.to_thread` or `contextvars.copy_context().run`.
Outside every run there is no None to trip over: `current_node()` then gives an object that takes every call and counts
it as `unattributed`, and `current_run()` one whose nodes are such objects. Inside a run but outside its nodes,
`current_node()` records on the run itself: each record becomes an event of kind usage without a node.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Union

from taximeter.nothing import NULL_NODE, NULL_RUN, NullNode, NullRun

if TYPE_CHECKING:
    from taximeter.node import Node
    from taximeter.run import Run


class InRun:
    """One entering of a run. A run may be entered several times, in several threads at once."""

    __slots__ = ("before", "ended", "run")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.before: Place | None = None
        self.ended = False


Place = Union["Node", InRun]

_here: ContextVar[Place | None] = ContextVar("taximeter_here", default=None)


def enter(place: Place) -> None:
    """Make `place`, which was not entered before, the innermost of this context."""
    before = _here.get()
    if before is not None and (before.ended or (before.before is not None and before.before.ended)):
        before = _live(before)
    place.before = before
    _here.set(place)


def leave(place: Place) -> None:
    """Go back to what was innermost before `place`, if this context is still there. Works in any context or thread."""
    place.ended = True
    if _here.get() is place:
        before = place.before
        _here.set(before if before is None or not before.ended else _live(before))


def leave_run(run: Run) -> None:
    """End the innermost entering of `run` in this context."""
    place = _here.get()
    while place is not None and (place.ended or place.run is not run or not isinstance(place, InRun)):
        place = place.before
    if place is not None:
        leave(place)


def _live(place: Place | None) -> Place | None:
    # Callbacks may end in another order than they began; what has ended is passed over, and its chain let go.
    while place is not None and place.ended:
        place = place.before
    if place is not None:
        outer = place.before
        while outer is not None and outer.ended:
            outer = outer.before
        place.before = outer
    return place


def current_node() -> Node | NullNode:
    """The innermost node; inside a run but outside its nodes, the run's own; else one that counts `unattributed`."""
    place = _here.get()
    if place is None:
        return NULL_NODE
    return place.run.loose if isinstance(place, InRun) else place


def current_run() -> Run | NullRun:
    """The innermost run, else one whose nodes count `unattributed`."""
    place = _here.get()
    return NULL_RUN if place is None else place.run
