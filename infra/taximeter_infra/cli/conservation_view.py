"""How the audit of the money looks: the conservation table, what was compared, every gap, a verdict; and JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape
from rich.table import Table

from taximeter_consumers.audit import Severity
from taximeter_consumers.conservation import amount
from taximeter_infra.cli.audit_view import STYLES
from taximeter_infra.cli.report_view import wide_console
from taximeter_schemas.money import plain, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from taximeter_consumers.audit import IngestReport
    from taximeter_consumers.conservation import Due, Gap, MoneyReport, PairReport

# So many gaps are shown; --json has up to 10,000.
_SHOWN_GAPS: Final = 50
_COLUMNS: Final = {
    "accepted": "rows",
    "stored": "stored",
    "duplicates": "duplicates",
    "executions": "executions",
    "in": "input_tokens",
    "out": "output_tokens",
    "cost": "cost_usd",
    "unpriced": "unpriced_calls",
    "unmeasured": "unmeasured_calls",
    "gaps": "gaps",
}


def ingest_lines(report: IngestReport) -> list[str]:
    """One line for each partition: what was accepted, and what became of it."""
    return [
        f"partition {part.partition}: accepted {part.consumed:,} = stored {part.stored:,}"
        f" + duplicates {part.duplicates:,} + dead-lettered {part.dead_lettered:,}"
        + (f" + LOST {part.lost + part.lost_in_gaps:,}" if part.lost + part.lost_in_gaps else "")
        + (f" + unproven {part.unproven:,}" if part.unproven else "")
        for part in report.partitions
    ]


def show(report: MoneyReport) -> None:
    """The conservation table for people."""
    console = wide_console()
    _show_table(console, report)
    for pair in report.pairs.values():
        console.print(_pair_line(pair), highlight=False, markup=False, soft_wrap=True)
    for one in report.due:
        console.print(_due_line(one), highlight=False, markup=False, soft_wrap=True)
    for gap in report.gaps[:_SHOWN_GAPS]:
        console.print(f"[bold red]GAP[/] {escape(gap_line(gap))}", highlight=False, soft_wrap=True)
    if report.gaps_found > _SHOWN_GAPS:
        more = report.gaps_found - min(len(report.gaps), _SHOWN_GAPS)
        console.print(f"and {more:,} gaps more; --json names up to 10,000", highlight=False)
    for finding in sorted(report.findings, key=lambda one: list(Severity).index(one.severity)):
        style = STYLES[finding.severity]
        console.print(f"[{style}]{finding.severity}[/] {escape(finding.text)}", highlight=False, soft_wrap=True)
    console.print(f"digest {report.table.digest}", highlight=False, soft_wrap=True)
    console.print(verdict(report), highlight=False, markup=False, soft_wrap=True)


def verdict(report: MoneyReport) -> str:
    """The outcome in one line."""
    if report.holds:
        flying = " as far as it is at rest" if report.in_flight else ""
        return f"closes: raw = rollups = quota usage = invoice lines, to the last digit{flying}"
    if report.gaps_found:
        return f"DOES NOT CLOSE: {report.gaps_found:,} gaps"
    if any(finding.severity in (Severity.LOST, Severity.BROKEN) for finding in report.findings):
        return "DOES NOT CLOSE: rows are missing or were changed"
    return "NOT PROVED: nothing was found wrong, but not all of it can be checked"


def gap_line(gap: Gap) -> str:
    """A gap to the last digit: where, what, both sides, the difference."""
    left, right, difference = (plain(amount(gap.measure, value)) for value in (gap.left, gap.right, gap.difference))
    account = gap.place.account_id or "(none)"
    return f"{gap.pair}: account {account}, {gap.place}, {gap.measure}: {left} != {right} (difference {difference})"


def as_object(report: MoneyReport) -> dict[str, Any]:
    """The audit of the money for `--json`: costs as strings to the last digit."""
    scope, (width, lines) = report.scope, report.table.lines
    return {
        "holds": report.holds,
        "account": scope.account,
        "from": scope.since and scope.since.isoformat(),
        "to": scope.until and scope.until.isoformat(),
        "verdict": verdict(report),
        "digest": report.table.digest,
        "accounts": report.accounts,
        "hours": report.table.hours,
        "in_flight": report.in_flight,
        "totals": {name: _values(sums) for name, sums in sorted(report.table.totals.items())},
        "compared": [_pair(pair) for pair in report.pairs.values()],
        "gaps_found": report.gaps_found,
        "gaps": [_gap(gap) for gap in report.gaps],
        "due_on_next_invoice": [{**asdict(one), "amount": plain(amount("cost_usd", one.amount))} for one in report.due],
        "findings": [asdict(finding) for finding in report.findings],
        "width": width,
        "lines": [{"account_id": account, "at": at, **_values(values)} for account, at, values in lines],
    }


def _show_table(console: Console, report: MoneyReport) -> None:
    width, lines = report.table.lines
    table = Table(box=None, pad_edge=False)
    table.add_column("account", no_wrap=True)
    table.add_column(width if width in ("hour", "day") else "", no_wrap=True)
    for heading in _COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for account, at, values in lines:
        table.add_row(escape(account or "(none)"), at, *_cells(values))
    table.add_row("all", f"{report.table.hours:,} hours", *_cells({**report.table.shown, "gaps": report.gaps_found}))
    console.print(table, highlight=False)


def _cells(values: Mapping[str, int]) -> list[str]:
    return [
        shown(amount(column, values.get(column, 0))) if column == "cost_usd" else f"{values.get(column, 0):,}"
        for column in _COLUMNS.values()
    ]


def _pair_line(pair: PairReport) -> str:
    state = "closes" if not pair.open else f"{pair.open:,} with gaps"
    cost = f", {shown(amount('cost_usd', pair.left['cost_usd']))}" if "cost_usd" in pair.left else ""
    return f"{pair.name}: {pair.places:,} {pair.kind}s{cost}, {state}"


def _due_line(one: Due) -> str:
    account = one.account_id or "(none)"
    return (
        f"due on the next invoice of {account} for {one.period}: {plain(amount('cost_usd', one.amount))} ({one.reason})"
    )


def _pair(pair: PairReport) -> dict[str, Any]:
    return {**asdict(pair), "left": _values(pair.left), "right": _values(pair.right)}


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "pair": gap.pair,
        **asdict(gap.place),
        "measure": gap.measure,
        "left": plain(amount(gap.measure, gap.left)),
        "right": plain(amount(gap.measure, gap.right)),
        "difference": plain(amount(gap.measure, gap.difference)),
    }


def _values(values: Mapping[str, int]) -> dict[str, Any]:
    return {
        name: plain(amount("cost_usd", value)) if name.endswith("cost_usd") else value
        for name, value in sorted(values.items())
    }
