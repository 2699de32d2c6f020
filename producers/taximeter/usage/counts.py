"""What counts as a count in a provider's body, and how many could not be read.

A body is foreign: a count may be a string, a fraction, negative, or larger than any real response. Such a value is no
count. It is tallied as unreadable and its counter stays unknown.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from taximeter.process import ProcessCount

LARGEST = 10**12
"""No single response uses more of anything; what claims to is garbage."""

_LARGEST_COST = Decimal(10**6)


UNREADABLE = ProcessCount()
"""Bodies, events and single counters, in this process, that state use and could not be read."""


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
