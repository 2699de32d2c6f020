"""What the counts of a partition come to: pure arithmetic, and the findings in words.

    consumed = stored + duplicates + dead letters + lost + unproven

`consumed` are the records of all batches, a record twice where two batches cover it. `stored` are the events that
everybody sees. Duplicates are the copies behind them: of records that were read again, rows that the view collapses,
records whose event is stored under another record's coordinates. The equation holds with nothing lost and unproven, or
the audit does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taximeter_consumers.audit.offset_set import OffsetSet
    from taximeter_consumers.audit.rows import Island


class Severity(StrEnum):
    """How bad a finding is. All but a note keep the audit from holding."""

    LOST = "lost"
    BROKEN = "broken"
    UNPROVEN = "unproven"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing that was found. `count` counts records or offsets, as the text says."""

    severity: Severity
    kind: str
    text: str
    count: int = 0
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True)
class Reread:
    """What became of records that were read again from the log.

    `elsewhere` have their event stored under other coordinates; `lost` are neither stored nor dead-lettered.
    """

    records: int = 0
    stored: int = 0
    dead: int = 0
    elsewhere: int = 0
    lost: int = 0
    lost_at: Sequence[int] = ()

    def plus(self, other: Reread) -> Reread:
        """Both together."""
        return Reread(
            self.records + other.records,
            self.stored + other.stored,
            self.dead + other.dead,
            self.elsewhere + other.elsewhere,
            self.lost + other.lost,
            (*self.lost_at, *other.lost_at)[:20],
        )


@dataclass
class PartitionReport:
    """One partition, as the report shows it. Offsets are exclusive where they are called an end."""

    partition: int
    log_first: int
    log_end: int
    committed: int | None
    tiled_from: int = 0
    tiled_to: int = 0
    batches: int = 0
    consumed: int = 0
    stored: int = 0
    duplicates: int = 0
    dead_lettered: int = 0
    lost: int = 0
    lost_in_gaps: int = 0
    unproven: int = 0
    physical_rows: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def in_flight(self) -> int:
        """Offsets of the log that are above what is committed."""
        return max(self.log_end - max(self.tiled_to if self.committed is None else self.committed, self.log_first), 0)

    @property
    def holds(self) -> bool:
        """Whether nothing but notes was found."""
        return all(finding.severity is Severity.NOTE for finding in self.findings)


@dataclass(frozen=True)
class Absent:
    """How many records of an island have no row of their own, and how many were consumed again by overlapping batches.

    Both are exact where `exact`; else at least so many records are absent.
    """

    records: int
    again: int
    exact: bool

    @property
    def to_be_read(self) -> bool:
        """Whether only the log can tell more."""
        return self.records > 0 or not self.exact


def absent(island: Island, letters: OffsetSet) -> Absent:
    """What an island's counts say. `letters` are the offsets of the partition's dead letters."""
    if island.members == 1:
        expected, exact = island.stored_in_all, True
    elif island.dense:
        dead = letters.count(island.stretch.first, island.stretch.last)
        # A record may be a dead letter of one batch and stored by the other.
        expected, exact = max(island.stretch.offsets - dead, island.present), True
    else:
        expected, exact = max(island.stored_at_least, island.present), False
    again = island.stored_in_all - expected if island.members > 1 else 0
    return Absent(max(expected - island.present, 0), max(again, 0), exact)


def settled(island: Island, said: Absent, seen: Reread | None) -> Absent:
    """The same once its records were read again: where counts could not say how many are absent, the log does."""
    if said.exact or seen is None:
        return said
    records = seen.elsewhere + seen.lost
    return Absent(records, max(island.stored_in_all - island.present - records, 0), exact=True)


@dataclass(frozen=True)
class Counts:
    """What goes into a partition's equation; `again` and `absent_records` are sums over its islands."""

    consumed: int
    dead_lettered: int
    present: int
    visible: int
    again: int = 0
    absent_records: int = 0
    elsewhere: int = 0
    lost: int = 0
    lost_at: Sequence[int] = ()


@dataclass(frozen=True)
class Balance:
    """The equation's right side. `difference` is what it lacks (positive) or has too much (negative)."""

    stored: int
    duplicates: int
    dead_lettered: int
    lost: int
    unproven: int
    difference: int


def balance(counts: Counts) -> Balance:
    """Sums a partition up. What is absent and was neither found elsewhere nor proved lost stays unproven."""
    unproven = max(counts.absent_records - counts.elsewhere - counts.lost, 0)
    duplicates = (counts.present - counts.visible) + counts.elsewhere + counts.again
    right = counts.visible + duplicates + counts.dead_lettered + counts.lost + unproven
    return Balance(counts.visible, duplicates, counts.dead_lettered, counts.lost, unproven, counts.consumed - right)
