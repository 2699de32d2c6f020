"""What must begin anew in a forked child, and be closed at the interpreter's exit: gates first, then what they ask by.

Objects are held weakly: one that nobody uses any more is nobody's to close.
"""

from __future__ import annotations

import atexit
import os
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet


class Living(Protocol):
    """Something with threads or connections of its own."""

    def begin_in_child(self) -> None:
        """Forget what is the parent's. Called in the child, while it has one thread only; never raises."""

    def close_at_exit(self) -> None:
        """End, within a bound."""


_gates: WeakSet[Living] = WeakSet()
_askers: WeakSet[Living] = WeakSet()


def is_gate(one: Living) -> None:
    """From now on, `one` is told; before those that it asks by."""
    _gates.add(one)


def is_asker(one: Living) -> None:
    """From now on, `one` is told."""
    _askers.add(one)


def _begin_in_child() -> None:
    for one in (*_askers, *_gates):
        one.begin_in_child()


def _close_all() -> None:
    for one in (*_gates, *_askers):
        with suppress(Exception):
            one.close_at_exit()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_begin_in_child)
