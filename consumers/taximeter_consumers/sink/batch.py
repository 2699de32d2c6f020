"""A batch: the records of one contiguous stretch of one partition, and when to cut one. Pure values.

A batch's identity is its coordinates and its content. Both are the same whenever and by whomever it is cut again, which
is what lets the engine recognise it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from taximeter_consumers.sink.intent import Intent

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
    # Cut again from an intent: it may be in ClickHouse already.
    announced_before: bool = False

    @property
    def first(self) -> int:
        """The first offset."""
        return self.offsets[0]

    @property
    def last(self) -> int:
        """The last offset, inclusive."""
        return self.offsets[-1]

    @property
    def arrived_ms(self) -> int:
        """When the first record arrived, Unix milliseconds."""
        return self.arrivals[0]

    @cached_property
    def bytes(self) -> int:
        """The size of all values."""
        return sum(len(value) for value in self.values if value)

    @property
    def memory(self) -> int:
        """What the batch takes in memory, about, in bytes."""
        return self.bytes + RECORD_OVERHEAD * len(self.values)

    @cached_property
    def content_hash(self) -> str:
        """BLAKE2b-128 over every value and its length, hexadecimal."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(",".join(str(-1 if value is None else len(value)) for value in self.values).encode())
        digest.update(b"".join(value for value in self.values if value))
        return digest.hexdigest()

    @cached_property
    def batch_id(self) -> int:
        """64 bits from the coordinates and the content: the key of the ledger's row."""
        name = f"{self.topic}/{self.partition}/{self.first}-{self.last}/{self.content_hash}"
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")

    def intent(self) -> Intent:
        """What Kafka is told before the batch is stored."""
        return Intent(self.first, self.last, self.content_hash)


@dataclass(frozen=True)
class CutPolicy:
    """When buffered records become a batch: by rows, by bytes, or when the oldest has waited long enough."""

    rows: int
    bytes: int
    age_seconds: float
    parts_per_second: float

    def due(self, rows: int, size: int, waited_seconds: float, partitions: int) -> bool:
        """Whether a buffer of `rows` and `size` bytes is to be cut; `partitions` is how many this sink owns.

        Every batch makes at least one part in ClickHouse, so with many partitions records wait a little longer.
        """
        if rows == 0:
            return False
        if rows >= self.rows or size >= self.bytes:
            return True
        return waited_seconds >= max(self.age_seconds, partitions / self.parts_per_second)


def covered_by(offsets: Sequence[int], intent: Intent, next_offset: int) -> int | None:
    """How many of the buffered `offsets` belong to an intended batch; None while its end has not been read yet.

    `next_offset` is where the log goes on after the buffer: past the intent's end, nothing more of it can come, even
    where the last offsets hold no records (transaction markers, compaction).
    """
    if next_offset <= intent.last:
        return None
    return sum(1 for offset in offsets if offset <= intent.last)
