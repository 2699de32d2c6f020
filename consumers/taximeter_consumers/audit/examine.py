"""The looks into one partition that counts alone do not need: gaps, records without a row, contents, arrival times.

All I/O goes through `Looks`. Without `deep` the number of looks is bounded, and what was not looked at is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

from taximeter_consumers.audit import findings
from taximeter_consumers.audit.balance import Counts, Finding, Reread, Severity, absent, settled
from taximeter_consumers.audit.content import ContentCheck
from taximeter_consumers.audit.ledger import entries
from taximeter_consumers.audit.reread import Judge, Sources, read_all, reread
from taximeter_consumers.audit.tiling import Stretch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taximeter_consumers.audit.log import LogProbe
    from taximeter_consumers.audit.rows import Island, PartitionRows
    from taximeter_consumers.audit.tiling import Entry, Tiling
    from taximeter_consumers.replay.topic_reader import TopicReader

# Without --deep: gaps to look into, and offsets to read again, in one partition.
MOST_GAPS = 10_000
MOST_REREAD = 1_000_000
# Batches of a partition whose first record is compared with the log.
_MOST_COMPARED = 12


@dataclass(frozen=True)
class Looks:
    """The ways out of here: two readers of the log, and what records are held against."""

    reader: TopicReader
    probe: LogProbe
    sources: Sources
    on_read: Callable[[int], None]
    deep: bool = False


@dataclass(frozen=True)
class Place:
    """A partition and the log's ends there, as they were when the audit began."""

    partition: int
    log_first: int
    log_end: int

    def in_log(self, stretch: Stretch) -> Stretch | None:
        """The part of a stretch that the log still holds."""
        return stretch.within(self.log_first, self.log_end - 1)


def look_into_gaps(gaps: Sequence[Stretch], place: Place, looks: Looks) -> tuple[list[Finding], int]:
    """What the gaps held, and how many of their records are lost."""
    gone = [part for gap in gaps if (part := gap.within(0, place.log_first - 1))]
    there = [part for gap in gaps if (part := place.in_log(gap))]
    most = len(there) if looks.deep else MOST_GAPS
    found: dict[Stretch, Reread | None] = {}
    room = MOST_REREAD
    for gap in there[:most]:
        first = looks.probe.first_record(place.partition, gap)
        if first is None:
            found[gap] = Reread()
            continue
        rest = Stretch(first.offset() or gap.first, gap.last)
        room -= rest.offsets
        found[gap] = _judged([rest], place, looks).get(rest, Reread()) if looks.deep or room >= 0 else None
    told = findings.of_gone(gone, place.log_first) + findings.of_gaps(found)
    if there[most:]:
        text = f"{len(there) - most:,} further gaps were not looked into; --deep does"
        offsets = sum(gap.offsets for gap in there[most:])
        told.append(Finding(Severity.UNPROVEN, "gap_unread", text, offsets))
    return told, sum(reread.lost for reread in found.values() if reread is not None)


@dataclass(frozen=True)
class Everything:
    """What reading the whole log with --deep has shown: of records outside of gaps and islands, and of contents."""

    rest: Reread
    found: tuple[Finding, ...] = ()


NOTHING_MORE = Everything(Reread())


def count_up(tiling: Tiling, rows: PartitionRows, everything: Everything, place: Place, looks: Looks) -> Counts:
    """The terms of the equation; what has no row of its own is read again as far as the log and the bounds allow."""
    said = {island.stretch: absent(island, looks.sources.letters) for island in rows.islands}
    seen = _reread_islands([island for island in rows.islands if said[island.stretch].to_be_read], place, looks)
    islands = [settled(island, said[island.stretch], seen.get(island.stretch)) for island in rows.islands]
    total = everything.rest
    for reread_island in seen.values():
        total = total.plus(reread_island)
    return Counts(
        consumed=tiling.records,
        dead_lettered=tiling.dead_lettered,
        present=rows.present,
        visible=rows.visible,
        again=sum(island.again for island in islands),
        absent_records=sum(island.records for island in islands) + everything.rest.elsewhere + everything.rest.lost,
        elsewhere=total.elsewhere,
        lost=total.lost,
        lost_at=total.lost_at,
    )


def read_everything(tiling: Tiling, rows: PartitionRows, place: Place, looks: Looks) -> Everything:
    """Every record from the log's beginning to the end of the tiles: its batch's hash, and whether it is stored."""
    whole = place.in_log(Stretch(tiling.begin, tiling.covered_to - 1))
    if whole is None:
        return NOTHING_MORE
    # These are looked into one by one.
    apart = sorted([*tiling.gaps, *(island.stretch for island in rows.islands)])
    judge = Judge(looks.sources, place.partition)
    ledger = entries(looks.sources.clickhouse, looks.sources.log, place.partition)
    check = ContentCheck(looks.sources.log.topic, place.partition, ledger, whole.first)
    at = 0
    for message in read_all(looks.reader, place.partition, whole, looks.on_read):
        offset = message.offset() or 0
        check.take(offset, message.value())
        while at < len(apart) and apart[at].last < offset:
            at += 1
        if at == len(apart) or offset < apart[at].first:
            judge.take(message, whole)
    check.finish(tiling.covered_to)
    told = findings.of_content(check.different, check.verified, check.gone)
    return Everything(judge.results().get(whole, Reread()), tuple(told))


def compare_arrivals(tiling: Tiling, place: Place, looks: Looks) -> list[Finding]:
    """Batches whose first record arrived at another time than the log's record at that offset: of another log."""
    asked = [tiling.oldest, tiling.newest]
    for overlap in tiling.named_overlaps[:_MOST_COMPARED]:
        asked += [overlap.one, overlap.other]
    chosen = {entry.batch_id: entry for entry in asked if entry is not None and _begins_in(place, entry)}
    told = []
    for entry in list(chosen.values())[:_MOST_COMPARED]:
        message = looks.probe.first_record(place.partition, Stretch(entry.first, entry.first))
        if message is None:
            continue
        kind, arrived_ms = message.timestamp()
        # What producers set may be nonsense that the sink did not keep as it was.
        if kind != TIMESTAMP_NOT_AVAILABLE and 0 < arrived_ms < 2**42 and arrived_ms != entry.arrived_ms:
            told.append(findings.another_log(entry, arrived_ms))
    return told


def _begins_in(place: Place, entry: Entry) -> bool:
    return place.log_first <= entry.first < place.log_end


def _reread_islands(islands: Sequence[Island], place: Place, looks: Looks) -> dict[Stretch, Reread]:
    """What became of the islands' records, by island; those that the log or the bounds leave out are not in it."""
    parts: dict[Stretch, Stretch] = {}
    room = MOST_REREAD
    for island in islands:
        part = place.in_log(island.stretch)
        if part is None or (part.offsets > room and not looks.deep):
            continue
        parts[part] = island.stretch
        room -= part.offsets
    results = _judged(sorted(parts), place, looks) if parts else {}
    return {whole: results.get(part, Reread()) for part, whole in parts.items()}


def _judged(stretches: Sequence[Stretch], place: Place, looks: Looks) -> dict[Stretch, Reread]:
    judge = Judge(looks.sources, place.partition)
    reread(looks.reader, place.partition, stretches, judge, looks.on_read)
    return judge.results()
