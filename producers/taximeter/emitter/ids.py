"""Event ids for the emitter's thread: UUIDv7 as text, from random bytes that are asked for many at a time.

An object belongs to one thread of one process: a forked child makes its own, or both would give the same ids.
"""

from __future__ import annotations

import os
from collections.abc import Callable

_IDS = 256
_DIGITS = 19  # hexadecimal digits of chance in an id, of which the variant's takes two bits
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class EventIds:
    """Gives ids whose first 48 bits are a millisecond. Source: RFC 9562, section 5.7."""

    def __init__(self, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._random_bytes = random_bytes
        self._pool = ""
        self._place = 0

    def new(self, occurred_ns: int) -> str:
        """A fresh id, born at `occurred_ns` (Unix time, nanoseconds)."""
        if self._place >= len(self._pool):
            self._pool = self._random_bytes(_IDS * (_DIGITS + 1) // 2).hex()
            self._place = 0
        start, pool = self._place, self._pool
        self._place = start + _DIGITS + 1
        time = f"{occurred_ns // 1_000_000 & 0xFFFF_FFFF_FFFF:012x}"
        return (
            f"{time[:8]}-{time[8:]}-7{pool[start : start + 3]}-{_VARIANT[pool[start + 3]]}{pool[start + 4 : start + 7]}"
            f"-{pool[start + 7 : start + 19]}"
        )
