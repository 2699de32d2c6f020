"""A set of Kafka offsets of one partition, one bit for each, in blocks that are made when they are needed.

A hundred million offsets in a row take 13 MB; a Python set would take gigabytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_BLOCK = 1 << 16


class OffsetSet:
    """Offsets, each once. Not for several threads."""

    def __init__(self, offsets: Iterable[int] = ()) -> None:
        self._blocks: dict[int, bytearray] = {}
        for offset in offsets:
            self.add(offset)

    def add(self, offset: int) -> None:
        """Puts it in; again changes nothing."""
        number, place = divmod(offset, _BLOCK)
        block = self._blocks.get(number)
        if block is None:
            block = self._blocks[number] = bytearray(_BLOCK // 8)
        block[place >> 3] |= 1 << (place & 7)

    def __contains__(self, offset: int) -> bool:
        number, place = divmod(offset, _BLOCK)
        block = self._blocks.get(number)
        return block is not None and bool(block[place >> 3] & 1 << (place & 7))

    def count(self, first: int, last: int) -> int:
        """How many of its offsets lie in `first` to `last`, both inclusive."""
        if last < first or not self._blocks:
            return 0
        low, high = first // _BLOCK, last // _BLOCK
        # A range may be far wider than what is in the set, and the other way round.
        numbers = range(low, high + 1) if high - low < len(self._blocks) else sorted(self._blocks)
        return sum(
            _bits(self._blocks[number], max(first - number * _BLOCK, 0), min(last - number * _BLOCK, _BLOCK - 1))
            for number in numbers
            if low <= number <= high and number in self._blocks
        )


def _bits(block: bytearray, first: int, last: int) -> int:
    bits = int.from_bytes(block[first >> 3 : (last >> 3) + 1], "little") >> (first & 7)
    return (bits & (1 << (last - first + 1)) - 1).bit_count()
