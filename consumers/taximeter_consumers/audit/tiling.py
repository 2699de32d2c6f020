"""Whether ranges of offsets tile a log: pure, one pass over batches in the order of their first offset.

Offsets below `end` (what the group has committed) must be covered. What begins at `end` or later is still being stored,
so holes there mean nothing. Batches that lie before `begin` are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# An audit that finds more overlaps than this counts them and names no more.
MOST_NAMED = 1_000


@dataclass(frozen=True, order=True)
class Stretch:
    """Offsets `first` to `last`, both inclusive."""

    first: int
    last: int

    @property
    def offsets(self) -> int:
        """How many offsets that is."""
        return self.last - self.first + 1

    def within(self, first: int, last: int) -> Stretch | None:
        """The part of it that lies in `first` to `last`, None where there is none."""
        low, high = max(self.first, first), min(self.last, last)
        return Stretch(low, high) if low <= high else None

    def __str__(self) -> str:
        return f"{self.first} to {self.last}" if self.last > self.first else str(self.first)


@dataclass(frozen=True)
class Entry:
    """A batch as the ledger has it. `arrived_ms`: when Kafka appended its first record, Unix milliseconds."""

    first: int
    last: int
    batch_id: int
    content_hash: str
    records: int
    stored: int
    dead_lettered: int
    arrived_ms: int

    @property
    def stretch(self) -> Stretch:
        """Its offsets."""
        return Stretch(self.first, self.last)

    @property
    def adds_up(self) -> bool:
        """Whether its own numbers agree with each other."""
        return self.records == self.stored + self.dead_lettered and 1 <= self.records <= self.last - self.first + 1


@dataclass(frozen=True)
class Overlap:
    """Offsets that two batches cover: the later one, and of those before it the one that reaches furthest."""

    stretch: Stretch
    one: Entry
    other: Entry


@dataclass
class Tiling:
    """What a pass over the batches of a partition has found.

    `covered_to` is the first offset that no batch covers any more. `beyond` are batches of which a part lies behind the
    log's end. `ahead` counts those that begin at `end` or later, `older` those before `begin`.
    """

    begin: int
    covered_to: int
    batches: int = 0
    records: int = 0
    stored: int = 0
    dead_lettered: int = 0
    ahead: int = 0
    older: int = 0
    gaps: list[Stretch] = field(default_factory=list)
    overlaps: int = 0
    named_overlaps: list[Overlap] = field(default_factory=list)
    beyond: list[Entry] = field(default_factory=list)
    wrong: list[Entry] = field(default_factory=list)
    oldest: Entry | None = None
    newest: Entry | None = None


def tile(entries: Iterable[Entry], *, begin: int, end: int | None, log_end: int) -> Tiling:
    """One partition's batches, in order of first and last offset, held against its log.

    `end` None: nothing is known of what is committed, and the ledger's own end counts. `log_end` is the offset after
    the log's last.
    """
    found = Tiling(begin, begin)
    reaching: Entry | None = None
    for entry in entries:
        if entry.last >= log_end:
            found.beyond.append(entry)
        if entry.last < begin:
            found.older += 1
            continue
        if end is not None and entry.first >= end:
            found.ahead += 1
            continue
        if entry.first > found.covered_to:
            found.gaps.append(Stretch(found.covered_to, entry.first - 1))
        _count(found, entry)
        if reaching is not None and entry.first <= reaching.last:
            found.overlaps += 1
            if found.overlaps <= MOST_NAMED:
                shared = Stretch(entry.first, min(entry.last, reaching.last))
                found.named_overlaps.append(Overlap(shared, reaching, entry))
        if reaching is None or entry.last > reaching.last:
            reaching = entry
        found.covered_to = max(found.covered_to, entry.last + 1)
    if end is not None and end > found.covered_to:
        found.gaps.append(Stretch(found.covered_to, end - 1))
    return found


def _count(found: Tiling, entry: Entry) -> None:
    found.batches += 1
    found.records += entry.records
    found.stored += entry.stored
    found.dead_lettered += entry.dead_lettered
    if not entry.adds_up:
        found.wrong.append(entry)
    if found.oldest is None:
        found.oldest = entry
    found.newest = entry
