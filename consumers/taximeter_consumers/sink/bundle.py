"""A bundle: the batches of one or more partitions that one INSERT stores, and when to cut one. Pure values.

ClickHouse pays for every part, and with many partitions a part for each of their batches would be many. So one INSERT
takes a batch of every partition that has records waiting: under little load it is small and quick, under much it is
large, and the number of parts a second depends on neither the load nor the number of partitions.
"""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from taximeter_consumers.sink.intent import MOST_SLICES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_consumers.sink.batch import Batch
    from taximeter_consumers.sink.intent import Intent


class Place(NamedTuple):
    """One record of a bundle: which of its batches, and which record of that."""

    batch: int
    record: int


# Compared by identity, as batches are.
@dataclass(frozen=True, eq=False)
class Bundle:
    """Batches of one topic, at most one of a partition, in the order of the partitions; never empty."""

    batches: tuple[Batch, ...]
    # It may be in ClickHouse already.
    announced_before: bool = False
    # It is a piece of a bundle that may be in ClickHouse whole: the engine will not recognise the piece.
    torn: bool = False

    @property
    def intent(self) -> Intent:
        """What Kafka is told before the bundle is stored."""
        return tuple(batch.slice for batch in self.batches)

    @property
    def records(self) -> int:
        """How many records it has."""
        return sum(len(batch.values) for batch in self.batches)

    @cached_property
    def values(self) -> Sequence[bytes | None]:
        """All values, batch by batch."""
        return list(chain.from_iterable(batch.values for batch in self.batches))

    @cached_property
    def identity(self) -> str:
        """Coordinates and content of all batches, hashed: equal for equal content, by whomever it was cut."""
        named = [f"{batch.partition}/{batch.first}-{batch.last}/{batch.content_hash}" for batch in self.batches]
        return _hashed(",".join(named).encode())

    def token(self, schema_id: int, indices: Sequence[int] | None) -> str:
        """The deduplication token of a block of its records of one schema: all, or those at `indices` of `values`.

        The engine drops a block under a token that it has seen, whatever the block holds, so the token says the
        content."""
        chosen = "all" if indices is None else _hashed(array("I", indices).tobytes())
        return f"{self.batches[0].topic}/{self.identity}/{schema_id}/{chosen}"

    def place(self, index: int) -> Place:
        """Which record stands at `index` of `values`. Raises IndexError."""
        for number, batch in enumerate(self.batches):
            if index < len(batch.values):
                return Place(number, index)
            index -= len(batch.values)
        raise IndexError("the bundle has no such record")

    def __str__(self) -> str:
        """For logs."""
        return ",".join(map(str, self.intent))


class Held(NamedTuple):
    """What waits in one partition: records, their bytes, and since when the oldest waits (monotonic seconds)."""

    partition: int
    records: int
    bytes: int
    since: float


@dataclass(frozen=True)
class CutPolicy:
    """When waiting records become a bundle, and how many of each partition go into it.

    A bundle is cut when the oldest record has waited `age_seconds` (`patient_seconds` where far more lies in Kafka than
    a bundle holds: then large ones are cheaper), or when it is full; but never sooner after the last one than
    `parts_per_second` allows.
    """

    records: int
    bytes: int
    age_seconds: float
    patient_seconds: float
    parts_per_second: float

    def interval(self, share: float, parts: float) -> float:
        """Seconds between two bundles, of so many `parts` each, of a sink that owns `share` (0 to 1) of the topic's
        partitions."""
        return parts / (self.parts_per_second * share)

    def due(self, held: Sequence[Held], now: float, *, behind: int) -> bool:
        """Whether what is held is to be cut; `behind` records lie in Kafka that have not been read."""
        if not held:
            return False
        if self.full(held):
            return True
        patience = self.patient_seconds if behind > self.records else self.age_seconds
        return now - min(one.since for one in held) >= patience

    def full(self, held: Sequence[Held]) -> bool:
        """Whether there is enough for a bundle of the largest size."""
        return sum(one.records for one in held) >= self.records or sum(one.bytes for one in held) >= self.bytes

    def shares(self, held: Sequence[Held]) -> dict[int, int]:
        """How many records each partition gives, those that have waited longest first; at least one in all."""
        records, size = self.records, self.bytes
        given: dict[int, int] = {}
        for one in sorted(held, key=lambda held: (held.since, held.partition)):
            by_bytes = one.records if one.bytes <= size else one.records * size // one.bytes
            rows = min(one.records, records, by_bytes)
            if rows <= 0 and given:
                break
            given[one.partition] = max(rows, 1)
            records -= given[one.partition]
            size -= one.bytes * given[one.partition] // one.records
            if records <= 0 or size <= 0 or len(given) == MOST_SLICES:
                break
        return given


def _hashed(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def aligned(first: int, records: int, width: int) -> int:
    """How many of `records` that begin at offset `first` lie before the next multiple of `width`, at least one."""
    return max(min(records, width - first % width), 1)
