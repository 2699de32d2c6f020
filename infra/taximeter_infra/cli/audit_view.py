"""How an audit looks: a table of partitions, what was found, what was compared, a verdict; and the same as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape
from rich.table import Table

from taximeter_consumers.audit import Severity
from taximeter_infra.cli.report_view import wide_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_consumers.audit import Finding, IngestReport, PartitionReport

_SUMMED: Final = (
    "batches",
    "consumed",
    "stored",
    "duplicates",
    "dead_lettered",
    "lost",
    "lost_in_gaps",
    "unproven",
    "physical_rows",
    "in_flight",
)
_COMPARED: Final = (
    "ranges of ingest_batches with each other, with the log's ends and with the group's committed offsets",
    "rows of stored_events with the ledger, by topic, partition and offset (batch_id follows the copy that is kept)",
    "rows of the view events with rows of stored_events, for duplicates",
    "source coordinates of the dead letters with the ledger's counts, each once",
    "records without a row of their own, read again, with all stored events by account and event id",
)
_DEEP: Final = "every record that the log still has with rows and dead letters, every batch with its content hash"
STYLES: Final = {Severity.LOST: "bold red", Severity.BROKEN: "red", Severity.UNPROVEN: "yellow", Severity.NOTE: "dim"}


def totals(report: IngestReport) -> dict[str, int]:
    """The sums over all partitions."""
    return {name: sum(getattr(part, name) for part in report.partitions) for name in _SUMMED}


def compared(report: IngestReport) -> list[str]:
    """What the verdict rests on."""
    return [*_COMPARED, _DEEP] if report.scope.deep else list(_COMPARED)


def verdicts(report: IngestReport) -> list[str]:
    """The outcome in plain lines, the last one the verdict."""
    sums = totals(report)
    found = [finding for _, finding in _all_findings(report)]
    equation = (
        f"consumed {sums['consumed']:,} = stored {sums['stored']:,} + duplicates {sums['duplicates']:,}"
        f" + dead letters {sums['dead_lettered']:,}"
    )
    equation += f" + LOST {sums['lost']:,}" if sums["lost"] else ""
    equation += f" + unproven {sums['unproven']:,}" if sums["unproven"] else ""
    lines = [equation]
    if sums["in_flight"]:
        lines.append(f"{sums['in_flight']:,} offsets above the committed ones are in flight, and not judged")
    lost = sums["lost"] + sums["lost_in_gaps"]
    if report.holds:
        lines.append("holds: the ranges tile the log, and every record is accounted for")
    elif any(finding.severity is Severity.LOST for finding in found):
        lines.append(f"DOES NOT HOLD: {lost:,} records are lost" if lost else "DOES NOT HOLD: dead letters are lost")
    elif any(finding.severity is Severity.BROKEN for finding in found):
        proven = "it cannot be proved that nothing is" if sums["unproven"] else "nothing is"
        lines.append(f"DOES NOT HOLD: the ranges do not tile the log as they should; {proven} lost")
    else:
        lines.append("NOT PROVED: nothing was found lost, but not all of it can be checked")
    return lines


def as_object(report: IngestReport) -> dict[str, Any]:
    """The report for `--json`."""
    scope = report.scope
    return {
        "holds": report.holds,
        "topic": scope.topic,
        "group": scope.group,
        "deep": scope.deep,
        "in_log": scope.in_log,
        "totals": totals(report),
        "verdict": verdicts(report)[-1],
        "findings": [asdict(finding) for finding in report.findings],
        "partitions": [_partition(part) for part in report.partitions],
        "compared": compared(report),
    }


def show(report: IngestReport) -> None:
    """The report for people."""
    console = wide_console()
    console.print(_table(report))
    for where, finding in _all_findings(report):
        style = STYLES[finding.severity]
        console.print(f"[{style}]{finding.severity}[/] {escape(where + finding.text)}", highlight=False, soft_wrap=True)
    console.print("compared:", highlight=False)
    for line in compared(report):
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    for line in verdicts(report):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def show_short(report: IngestReport, lines: Sequence[str]) -> None:
    """A few `lines` in place of the table, and what was found; for an audit that goes on from there."""
    console = wide_console()
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for where, finding in _all_findings(report):
        if finding.severity is not Severity.NOTE:
            style = STYLES[finding.severity]
            text = escape(where + finding.text)
            console.print(f"[{style}]{finding.severity}[/] {text}", highlight=False, soft_wrap=True)
    console.print(verdicts(report)[-1], highlight=False, markup=False, soft_wrap=True)


def _table(report: IngestReport) -> Table:
    table = Table(box=None, pad_edge=False)
    headings = ("partition", "log", "tiled", "batches", "consumed", "stored", "duplicates", "dead", "lost", "in flight")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for part in report.partitions:
        table.add_row(
            str(part.partition),
            f"{part.log_first}..{part.log_end}",
            f"{part.tiled_from}..{part.tiled_to}" if part.batches else "-",
            *(f"{count:,}" for count in (part.batches, part.consumed, part.stored, part.duplicates)),
            *(f"{count:,}" for count in (part.dead_lettered, part.lost + part.lost_in_gaps, part.in_flight)),
        )
    return table


def _partition(part: PartitionReport) -> dict[str, Any]:
    return {**asdict(part), "in_flight": part.in_flight, "holds": part.holds}


def _all_findings(report: IngestReport) -> list[tuple[str, Finding]]:
    """Every finding with where it is, the worst first."""
    found = [(f"partition {part.partition}: ", finding) for part in report.partitions for finding in part.findings]
    order = list(Severity)
    return sorted(
        [*(("", finding) for finding in report.findings), *found], key=lambda one: order.index(one[1].severity)
    )
