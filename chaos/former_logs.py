"""Logs that a topic had before it was deleted and made anew. Their offsets begin again, so a place says too little.

In the evidence a partition of the n-th former log (from 1) has n x `APART` added to its number; then places are unique.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from chaos.topic_log import Place, Record

APART: Final = 1_000


@dataclass(frozen=True)
class FormerLog:
    """What lay in a log when it was deleted, and the identity that Kafka gave it."""

    identity: str
    records: Sequence[Record]


def places_of(place: Place, former: int) -> list[Place]:
    """Where a record at that place may be: in the log of now, or in one of the former ones."""
    partition, offset = place
    return [(partition + APART * number, offset) for number in range(former + 1)]


def all_records(now: Sequence[Record], former: Sequence[FormerLog]) -> list[Record]:
    """The records of all logs, at unique places."""
    moved = [
        replace(record, partition=record.partition + APART * number)
        for number, log in enumerate(former, start=1)
        for record in log.records
    ]
    return [*now, *moved]


def partition_in(identity: str, partition: int, former: Sequence[FormerLog]) -> int:
    """The number in the evidence of a partition of the log of that identity."""
    numbers = {log.identity: number for number, log in enumerate(former, start=1)}
    return partition + APART * numbers.get(identity, 0)
