"""UUIDv7: the event id. Its first 48 bits are the millisecond of its birth, so ids sort by time and carry a clock.

Source: RFC 9562, section 5.7. The storage partitions and orders by that clock, so the sink refuses what is not one.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def compose(millis: int, entropy: bytes) -> UUID:
    """The UUIDv7 of `millis` (Unix milliseconds, 48 bits) and ten bytes of `entropy`, of which 74 bits are kept."""
    value = (millis & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(entropy[:10], "big")
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return UUID(int=value)


def birth_of(event_id: UUID) -> datetime:
    """The millisecond, UTC, that a UUIDv7 carries. Raises ValueError for any other UUID, and past the year 9999."""
    if event_id.version != 7:
        raise ValueError(f"{event_id} is not a UUIDv7")
    try:
        return _EPOCH + timedelta(milliseconds=event_id.int >> 80)
    except OverflowError as error:
        raise ValueError(f"{event_id} was born after the year 9999") from error


def new_event_id(now_ns: int | None = None) -> UUID:
    """A fresh id; `now_ns` is Unix time in nanoseconds, the clock's when left out.

    It asks the system for its ten random bytes each time and holds no lock and no state: a pool would be quicker by a
    microsecond, and would hand out a parent's ids again after a fork, or stop in a signal handler.
    """
    return compose((time.time_ns() if now_ns is None else now_ns) // 1_000_000, os.urandom(10))
