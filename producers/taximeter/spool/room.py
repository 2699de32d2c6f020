"""How much more the directory may take.

Its files are looked at when a segment is begun, when what was seen leaves no room, and after every `look_bytes` that
this process wrote. Between two looks the others' writing is not seen: with n processes at work the directory holds at
most `limit_bytes` + (n - 1) x (`look_bytes` + one record).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

LOOK_BYTES = 1 << 20


def fitting(sizes: Iterable[int], room: int) -> int:
    """How many of the sizes, from the first on, go into `room` together."""
    count = 0
    for size in sizes:
        room -= size
        if room < 0:
            break
        count += 1
    return count


class Room:
    """The bound over the directory. `used` measures it; it may raise OSError."""

    def __init__(self, limit_bytes: int, segment_bytes: int, used: Callable[[], int]) -> None:
        self._limit = limit_bytes
        self._used = used
        self._left = 0
        self.look_bytes = min(LOOK_BYTES, segment_bytes)
        self._until_look = 0

    def left(self, needed: int) -> int:
        """How many bytes may be written before this is asked again; less than `needed` if there is no room."""
        if self._until_look <= 0 or needed > self._left:
            self.look()
        return min(self._left, max(needed, self._until_look))

    def look(self) -> None:
        """Measure again."""
        self._left = self._limit - self._used()
        self._until_look = self.look_bytes

    def take(self, count: int) -> None:
        """So many bytes were written."""
        self._left -= count
        self._until_look -= count
