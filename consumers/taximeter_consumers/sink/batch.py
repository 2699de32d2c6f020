"""A batch: the records of one contiguous stretch of one partition. A pure value.

A batch's identity is its coordinates and its content. Both are the same whenever and by whomever it is cut again, which
is what lets the engine recognise it.
"""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

from taximeter_consumers.sink.intent import Slice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Message


# Bytes that a record takes besides its value: the message object with key and headers, and its places in lists.
# Measured with short keys and two headers.
RECORD_OVERHEAD = 512


# Compared by identity: a batch that was cut again after a rebalance is another one.
@dataclass(frozen=True, eq=False)
class Batch:
    """Records in offset order. `arrivals` are the broker's times of them, Unix milliseconds (0: it has none)."""

    topic: str
    partition: int
    offsets: Sequence[int]
    values: Sequence[bytes | None]
    arrivals: Sequence[int]
    # The messages themselves, for the keys and headers of dead letters.
    messages: Sequence[Message] = ()

    @property
    def first(self) -> int:
        """The first offset."""
        return self.offsets[0]

    @property
    def last(self) -> int:
        """The last offset, inclusive."""
        return self.offsets[-1]

    @property
    def slice(self) -> Slice:
        """Its place in the log."""
        return Slice(self.partition, self.first, self.last)

    @property
    def arrived_ms(self) -> int:
        """When the first record arrived, Unix milliseconds."""
        return self.arrivals[0]

    @cached_property
    def whole(self) -> bool:
        """Whether every record has a value: none is a tombstone."""
        return None not in self.values

    @property
    def _present(self) -> Sequence[bytes]:
        # Without a step of Python for each record where all are there, as nearly always.
        return cast("Sequence[bytes]", self.values) if self.whole else list(filter(None, self.values))

    @cached_property
    def bytes(self) -> int:
        """The size of all values."""
        return sum(map(len, self._present))

    @property
    def memory(self) -> int:
        """What the batch takes in memory, about, in bytes."""
        return self.bytes + RECORD_OVERHEAD * len(self.values)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over the length (8 bytes, little-endian; -1 of a tombstone) and the bytes of every value, cut to 128
        bits, hexadecimal: all lengths first, then all bytes."""
        of_all = (-1 if value is None else len(value) for value in self.values)
        lengths = map(len, self._present) if self.whole else of_all
        digest = hashlib.sha256(array("q", lengths).tobytes())
        digest.update(b"".join(self._present))
        return digest.hexdigest()[:32]

    @cached_property
    def batch_id(self) -> int:
        """64 bits from the coordinates and the content: the key of the ledger's row."""
        name = f"{self.topic}/{self.partition}/{self.first}-{self.last}/{self.content_hash}"
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
