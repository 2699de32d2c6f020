"""The audit of ingestion, from the broker's log to the rows, in an order that running sinks cannot disturb.

The committed offsets come first, and only what lies below them is held to account: rows, dead letters and ledger of
that were written before the commit, so whatever is asked later has them. What a sink stores meanwhile is in flight.
The log's end is asked last, so that it lies behind every batch. Nothing is written; an interrupt leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taximeter_consumers.audit import findings
from taximeter_consumers.audit.balance import Finding, PartitionReport, Severity, balance
from taximeter_consumers.audit.examine import (
    NOTHING_MORE,
    Looks,
    Place,
    compare_arrivals,
    count_up,
    look_into_gaps,
    read_everything,
)
from taximeter_consumers.audit.ledger import Log, entries, frozen, others, partitions
from taximeter_consumers.audit.letters import Letters, read_letters
from taximeter_consumers.audit.log import LogProbe
from taximeter_consumers.audit.reread import Sources
from taximeter_consumers.audit.rows import Bounds, PartitionRows, count_rows
from taximeter_consumers.audit.tiling import Tiling, tile
from taximeter_consumers.replay.topic_range import TopicRange
from taximeter_consumers.replay.topic_reader import TopicReader
from taximeter_consumers.sink.log_identity import LogIdentity
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_consumers.audit.tiling import Entry
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_schemas.registry import Registry
    from taximeter_schemas.settings import KafkaSettings

# What is done now, and how far it is: a name, and a count of what the name says.
Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Scope:
    """What is audited: a topic with its dead letters, through the eyes of the sink's group. No partitions: all.

    `deep` reads the whole log again. `in_log` leaves out what the log does not hold any more.
    """

    topic: str
    dead_letters: str
    group: str
    partitions: frozenset[int] = frozenset()
    deep: bool = False
    in_log: bool = False


@dataclass
class IngestReport:
    """The outcome. `holds` is what the exit code says."""

    scope: Scope
    partitions: list[PartitionReport] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether the ranges tile the log and every record is accounted for, as far as it is committed."""
        return all(part.holds for part in self.partitions) and all(
            finding.severity is Severity.NOTE for finding in self.findings
        )


@dataclass(frozen=True)
class IngestAudit:
    """One audit over open connections; made by `open_audit`."""

    scope: Scope
    log: Log
    kafka: KafkaSettings
    clickhouse: ClickHouse
    registry: Registry
    reader: TopicReader
    probe: LogProbe

    def run(self, progress: Progress = lambda _what, _done: None) -> IngestReport:
        """Raises Misconfigured where there is nothing to audit, Retryable where a server does not answer."""
        scope, log = self.scope, self.log
        places = self._places()
        committed = self.probe.committed(sorted(places))
        letters = self._letters(progress)
        tilings, missing = {}, {}
        deleted = frozen(self.clickhouse, log)
        for partition, place in places.items():
            progress(f"ledger of partition {partition}", 0)
            owed = _Owed(entries(self.clickhouse, log, partition), letters, partition, committed[partition])
            begin = max(place.log_first if scope.in_log else 0, deleted.get(partition, 0))
            tilings[partition] = tile(owed, begin=begin, end=committed[partition], log_end=place.log_end)
            missing[partition] = owed.missing
        self._require_something(places, committed, tilings)
        progress("rows in ClickHouse", 0)
        bounds = {partition: _bounds(tilings[partition], committed[partition]) for partition in places}
        rows = count_rows(self.clickhouse, log, bounds)
        report = IngestReport(scope)
        for partition, place in places.items():
            looks = self._looks(letters, partition, progress)
            told = self._examine(tilings[partition], rows.get(partition, PartitionRows()), place, looks)
            told.committed = committed[partition]
            told.findings += findings.of_letters(
                missing[partition], complete=letters.complete, dead_letters=scope.dead_letters
            )
            report.partitions.append(told)
        self._hold_against_the_ends(report, tilings)
        report.findings += self._unknown_partitions(log)
        report.findings += findings.of_other_logs(*others(self.clickhouse, log))
        return report

    def _places(self) -> dict[int, Place]:
        spans = self.reader.spans(TopicRange(partitions=self.scope.partitions))
        return {span.partition: Place(span.partition, span.first, span.end) for span in spans}

    def _letters(self, progress: Progress) -> Letters:
        def on_read(done: int) -> None:
            progress("dead letters", done)

        on_read(0)
        return read_letters(self.kafka, self.scope.dead_letters, self.scope.topic, on_read)

    def _looks(self, letters: Letters, partition: int, progress: Progress) -> Looks:
        def on_read(done: int) -> None:
            progress(f"records of partition {partition}", done)

        sources = Sources(self.clickhouse, self.log, self.registry, letters.of(partition))
        return Looks(self.reader, self.probe, sources, on_read, self.scope.deep)

    def _examine(self, tiling: Tiling, rows: PartitionRows, place: Place, looks: Looks) -> PartitionReport:
        looks.on_read(0)
        gaps, lost_in_gaps = look_into_gaps(tiling.gaps, place, looks)
        everything = read_everything(tiling, rows, place, looks) if looks.deep else NOTHING_MORE
        counts = count_up(tiling, rows, everything, place, looks)
        sums = balance(counts)
        return PartitionReport(
            place.partition,
            place.log_first,
            place.log_end,
            committed=None,
            tiled_from=tiling.oldest.first if tiling.oldest is not None else tiling.begin,
            tiled_to=tiling.covered_to,
            batches=tiling.batches,
            consumed=counts.consumed,
            stored=sums.stored,
            duplicates=sums.duplicates,
            dead_lettered=sums.dead_lettered,
            lost=sums.lost,
            lost_in_gaps=lost_in_gaps,
            unproven=sums.unproven,
            physical_rows=rows.physical,
            findings=[
                *findings.of_balance(sums, counts.lost_at),
                *gaps,
                *findings.of_ranges(tiling),
                *compare_arrivals(tiling, place, looks),
                *everything.found,
            ],
        )

    def _hold_against_the_ends(self, report: IngestReport, tilings: dict[int, Tiling]) -> None:
        """Batches behind the log's end, which is looked at only now: it grows while an audit runs."""
        ends = self._places()
        for told in report.partitions:
            told.log_end, tiling = ends[told.partition].log_end, tilings[told.partition]
            beyond = [entry for entry in tiling.beyond if entry.last >= told.log_end]
            told.findings += findings.of_beyond(beyond, told.log_end)
            told.findings += findings.of_group(told.committed, told.log_end, tiling.covered_to, self.scope.group)

    def _unknown_partitions(self, log: Log) -> list[Finding]:
        if self.scope.partitions:
            return []
        unknown = sorted(partitions(self.clickhouse, log) - self.reader.partitions)
        text = f"the ledger has partitions that the topic has not ({unknown}): the topic was made anew"
        return [Finding(Severity.BROKEN, "unknown_partition", text, len(unknown))] if unknown else []

    def _require_something(
        self, places: dict[int, Place], committed: dict[int, int | None], tilings: dict[int, Tiling]
    ) -> None:
        """An empty ledger and an unknown group prove nothing about a log with records in it."""
        known = any(offset is not None for offset in committed.values())
        known = known or any(tiling.batches for tiling in tilings.values())
        if not known and any(place.log_end > 0 for place in places.values()):
            _, earlier = others(self.clickhouse, self.log)
            anew = f"; it was made anew, and {earlier:,} batches of the ledger are older" if earlier else ""
            raise Misconfigured(
                f"the group {self.scope.group} has stored nothing of {self.scope.topic}: there is nothing to audit"
                f"{anew}",
                mend="run `taximeter sink`, or set --group, --topic and CLICKHOUSE_DATABASE to what it used",
            )


class _Owed:
    """Batches on their way to the tiling, with the dead letters that they owe counted on the way."""

    def __init__(self, ledger: Iterator[Entry], letters: Letters, partition: int, end: int | None) -> None:
        self._ledger = ledger
        self._letters = letters.of(partition)
        self._end = end
        self.missing = 0

    def __iter__(self) -> Iterator[Entry]:
        for entry in self._ledger:
            if entry.dead_lettered and (self._end is None or entry.first < self._end):
                found = self._letters.count(entry.first, entry.last)
                self.missing += max(entry.dead_lettered - found, 0)
            yield entry


@contextmanager
def open_audit(scope: Scope, kafka: KafkaSettings, clickhouse: ClickHouse, registry: Registry) -> Iterator[IngestAudit]:
    """Opens the readers of the log and closes them again. Raises Misconfigured where the topic does not exist."""
    with (
        closing(TopicReader(kafka, scope.topic)) as reader,
        closing(LogProbe(kafka, scope.topic, scope.group)) as probe,
    ):
        log = Log(scope.topic, LogIdentity(kafka, scope.topic, seen=False).log)
        yield IngestAudit(scope, log, kafka, clickhouse, registry, reader, probe)


def _bounds(tiling: Tiling, committed: int | None) -> Bounds:
    return Bounds(tiling.begin, tiling.covered_to if committed is None else committed)
