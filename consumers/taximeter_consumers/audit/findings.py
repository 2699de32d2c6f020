"""What an audit says about ranges: findings from a tiling, in words that an operator can act on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taximeter_consumers.audit.balance import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taximeter_consumers.audit.balance import Balance, Reread
    from taximeter_consumers.audit.tiling import Entry, Stretch, Tiling

MOST_NAMED = 50


def of_ranges(tiling: Tiling) -> list[Finding]:
    """Overlaps, and batches whose own numbers disagree."""
    found = [
        Finding(
            Severity.BROKEN,
            "overlap",
            f"offsets {overlap.stretch} are in two batches, {_named(overlap.one)} and {_named(overlap.other)}"
            " (the group was set back, another group stored them, or the topic was made anew);"
            " the view shows each event once",
            overlap.stretch.offsets,
            overlap.stretch.first,
            overlap.stretch.last,
        )
        for overlap in tiling.named_overlaps[:MOST_NAMED]
    ]
    if tiling.overlaps > len(found):
        found.append(Finding(Severity.BROKEN, "overlap", f"{tiling.overlaps:,} overlaps in all", tiling.overlaps))
    found += [
        Finding(
            Severity.BROKEN,
            "ledger_sums",
            f"batch {_named(entry)} says {entry.records} records, {entry.stored} stored and {entry.dead_lettered}"
            f" dead-lettered over {entry.stretch.offsets} offsets, which cannot be",
            entry.records,
            entry.first,
            entry.last,
        )
        for entry in tiling.wrong[:MOST_NAMED]
    ]
    return found


def of_other_logs(logs: int, batches: int) -> list[Finding]:
    """Batches of logs that the topic's name stood for before it was deleted and made anew."""
    if not batches:
        return []
    text = f"the topic was made anew: {batches:,} batches of {logs} earlier log(s) under this name are not audited"
    return [Finding(Severity.NOTE, "earlier_log", text, batches)]


def of_beyond(beyond: Sequence[Entry], log_end: int) -> list[Finding]:
    """Batches that lie behind the log's end: they are of another log."""
    if not beyond:
        return []
    first, last = min(entry.first for entry in beyond), max(entry.last for entry in beyond)
    text = (
        f"{len(beyond):,} batches up to offset {last} lie beyond the log's end {log_end}: they are of another log"
        " under the same name; the topic was made anew"
    )
    return [Finding(Severity.BROKEN, "beyond_log_end", text, len(beyond), first, last)]


def of_group(committed: int | None, log_end: int, covered_to: int, group: str) -> list[Finding]:
    """What the group's committed offset says of the log."""
    if committed is None and covered_to < log_end and covered_to > 0:
        text = (
            f"the group {group} has committed nothing here, so offsets {covered_to} to {log_end - 1} may be in flight"
            " or missing; name the sink's group with --group"
        )
        return [Finding(Severity.UNPROVEN, "nothing_committed", text, log_end - covered_to, covered_to, log_end - 1)]
    if committed is not None and committed > log_end:
        text = (
            f"the group {group} has committed {committed}, but the log ends at {log_end}: the topic was made anew,"
            " and no sink has read it since"
        )
        return [Finding(Severity.BROKEN, "committed_beyond_end", text, committed - log_end, log_end, committed - 1)]
    return []


def of_gone(gone: Sequence[Stretch], log_first: int) -> list[Finding]:
    """Gaps, or parts of them, that retention has deleted."""
    return [
        Finding(
            Severity.UNPROVEN,
            "gap_gone",
            f"offsets {stretch} are in no batch, and the log begins at {log_first} by now: it cannot be checked any"
            " more whether they held records",
            stretch.offsets,
            stretch.first,
            stretch.last,
        )
        for stretch in gone
    ]


def of_gaps(found: Mapping[Stretch, Reread | None]) -> list[Finding]:
    """Gaps that were looked at, each with what became of its records; None where it was not read to its end."""
    told: list[Finding] = []
    silent = [gap for gap, reread in found.items() if reread is not None and not reread.records]
    if silent:
        offsets = sum(gap.offsets for gap in silent)
        text = (
            f"{len(silent):,} gaps of {offsets:,} offsets in all hold no record that a reader gets"
            " (markers of transactions, aborted or compacted records)"
        )
        told.append(Finding(Severity.NOTE, "gap_without_records", text, offsets, silent[0].first, silent[-1].last))
    for gap, reread in found.items():
        if reread is None:
            text = f"offsets {gap} are in no batch and hold records; what became of them was not looked at: --deep does"
            told.append(Finding(Severity.UNPROVEN, "gap_unread", text, gap.offsets, gap.first, gap.last))
        elif reread.lost:
            text = (
                f"LOST: offsets {gap} are in no batch; {reread.lost:,} of their {reread.records:,} records are neither"
                f" stored nor dead-lettered (offsets {some(reread.lost_at, reread.lost)})"
            )
            told.append(Finding(Severity.LOST, "gap_lost", text, reread.lost, gap.first, gap.last))
        elif reread.records:
            text = (
                f"offsets {gap} are in no batch, yet their {reread.records:,} records are stored or dead-lettered:"
                " rows of the ledger are missing; `taximeter replay --from-offset 0 --to-clickhouse --skip-bad` enters"
                " them again"
            )
            told.append(Finding(Severity.BROKEN, "gap_stored", text, reread.records, gap.first, gap.last))
    return told


def of_content(different: Sequence[Entry], verified: int, gone: int) -> list[Finding]:
    """What making the hashes anew has shown."""
    told = [
        Finding(
            Severity.BROKEN,
            "content",
            f"batch {_named(entry)} has another content than the log has there now: the log was made anew, or changed",
            entry.records,
            entry.first,
            entry.last,
        )
        for entry in different[:MOST_NAMED]
    ]
    if len(different) > MOST_NAMED:
        told.append(Finding(Severity.BROKEN, "content", f"{len(different):,} batches differ in all", len(different)))
    told.append(
        Finding(Severity.NOTE, "content_verified", f"the content of {verified:,} batches is verified", verified)
    )
    if gone:
        text = f"the content of {gone:,} batches cannot be checked any more: the log begins behind their first offset"
        told.append(Finding(Severity.NOTE, "content_gone", text, gone))
    return told


def of_balance(sums: Balance, lost_at: Sequence[int]) -> list[Finding]:
    """What the equation shows: records that are lost, that nobody can tell of, or that are counted once too often."""
    told = []
    if sums.lost:
        text = (
            f"LOST: {sums.lost:,} records that the ledger calls stored have no row in stored_events, under no"
            f" coordinates, and no dead letter (offsets {some(lost_at, sums.lost)}); the topic still has them:"
            " `taximeter replay --to-topic` with --partition, --from-offset and --to-offset brings them in again"
        )
        told.append(Finding(Severity.LOST, "rows_lost", text, sums.lost))
    if sums.unproven:
        text = (
            f"{sums.unproven:,} records have no row of their own, and were not read again: duplicates that storage has"
            " merged, or lost; --deep tells as far as the log still has them"
        )
        told.append(Finding(Severity.UNPROVEN, "rows_unproven", text, sums.unproven))
    if sums.difference:
        more = "fewer" if sums.difference > 0 else "more"
        text = (
            f"{abs(sums.difference):,} records {more} are stored, duplicates or dead letters than were consumed:"
            " the ledger and the rows do not belong together"
        )
        told.append(Finding(Severity.BROKEN, "unbalanced", text, abs(sums.difference)))
    return told


def of_letters(missing: int, *, complete: bool, dead_letters: str) -> list[Finding]:
    """Dead letters that the ledger names and the dead-letter topic does not have."""
    if not missing:
        return []
    if complete:
        text = f"LOST: {missing:,} dead letters of the ledger are not in {dead_letters}"
        return [Finding(Severity.LOST, "letters_lost", text, missing)]
    text = f"{missing:,} dead letters of the ledger are not in {dead_letters} any more, whose beginning is deleted"
    return [Finding(Severity.UNPROVEN, "letters_gone", text, missing)]


def another_log(entry: Entry, arrived_ms: int) -> Finding:
    """The record at a batch's first offset came at another time than the batch says."""
    text = (
        f"batch {_named(entry)} is of another log: its first record arrived {abs(arrived_ms - entry.arrived_ms):,} ms"
        f" {'before' if entry.arrived_ms < arrived_ms else 'after'} the one that is there now; the topic was made anew"
    )
    return Finding(Severity.BROKEN, "another_log", text, entry.records, entry.first, entry.last)


def some(offsets: Sequence[int], count: int) -> str:
    """The first of the offsets, which come in any order, and that there are more."""
    named = ", ".join(map(str, sorted(offsets)[:5]))
    return named if count <= min(len(offsets), 5) else f"{named}, ..."


def _named(entry: Entry) -> str:
    return f"{entry.batch_id:016x} ({entry.first} to {entry.last})"
