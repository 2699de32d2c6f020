"""What counts as a count in a provider's body, and how many could not be read.

A body is foreign: a count may be a string, a fraction, negative, or larger than any real response. Such a value is no
count. It is tallied as unreadable and its counter stays unknown.
"""

from __future__ import annotations

import os
import threading
from decimal import Decimal, InvalidOperation

LARGEST = 10**12
"""No single response uses more of anything; what claims to is garbage."""

_LARGEST_COST = Decimal(10**6)


class Unreadable:
    """How often, in this process, something that states use could not be read. Safe across threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._count = 0
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # In a forked child, another thread may have held the lock for ever.
        self._lock = threading.RLock()
        self._count = 0

    @property
    def count(self) -> int:
        """Bodies, events and single counters that could not be read."""
        return self._count

    def note(self) -> None:
        """Count one."""
        with self._lock:
            self._count += 1


UNREADABLE = Unreadable()


def counted_as(value: object) -> int | None:
    """The count that a value states, or None. A float is one if it is whole: Titan states `28.0`."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= LARGEST else None


def milliseconds(seconds: object) -> int | None:
    """Seconds as milliseconds, or None for what is no length of time."""
    if type(seconds) not in (int, float) or not 0 <= float(str(seconds)) * 1000 <= LARGEST:
        return None
    return round(float(str(seconds)) * 1000)


def dollars(value: object) -> Decimal | None:
    """A stated cost, exact as written, or None for what is no cost."""
    if type(value) not in (int, float, str):
        return None
    try:
        cost = Decimal(str(value))
    except InvalidOperation:
        return None
    return cost if cost.is_finite() and 0 <= cost <= _LARGEST_COST else None
