"""UUIDv7: the event id. Its first 48 bits are the millisecond of its birth, so ids sort by time and carry a clock.

Source: RFC 9562, section 5.7. The storage partitions and orders by that clock, so the sink refuses what is not one.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POOL_BYTES = 10 * 512


def compose(millis: int, entropy: bytes) -> UUID:
    """The UUIDv7 of `millis` (Unix milliseconds, 48 bits) and ten bytes of `entropy`, of which 74 bits are kept."""
    value = (millis & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(entropy[:10], "big")
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return UUID(int=value)


def birth_of(event_id: UUID) -> datetime:
    """The millisecond, UTC, that a UUIDv7 carries. Raises ValueError for any other kind of UUID."""
    if event_id.version != 7:
        raise ValueError(f"{event_id} is not a UUIDv7")
    return _EPOCH + timedelta(milliseconds=event_id.int >> 80)


class Uuid7Source:
    """Makes UUIDv7s from pooled random bytes: one system call for 512 ids. Safe across threads and after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool = b""
        self._used = 0
        os.register_at_fork(after_in_child=self._forget)

    def __call__(self, now_ns: int | None = None) -> UUID:
        """A fresh id; `now_ns` is Unix time in nanoseconds, the clock's when left out."""
        millis = (time.time_ns() if now_ns is None else now_ns) // 1_000_000
        with self._lock:
            if self._used + 10 > len(self._pool):
                self._pool = os.urandom(_POOL_BYTES)
                self._used = 0
            entropy = self._pool[self._used : self._used + 10]
            self._used += 10
        return compose(millis, entropy)

    def _forget(self) -> None:
        # A child that kept its parent's pool would hand out the parent's ids again.
        self._lock = threading.Lock()
        self._pool = b""
        self._used = 0


new_event_id = Uuid7Source()
