"""How the demo's result looks: tables for people, one object for programs."""

from __future__ import annotations

import shlex
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from taximeter_infra.cli.report_view import show_rows, wide_console
from taximeter_infra.stack.plan import default_data_dir
from taximeter_schemas.money import plain, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from taximeter_infra.demo.checks import Row
    from taximeter_infra.demo.pipeline import DemoResult
    from taximeter_infra.demo.staying import Stay
    from taximeter_infra.stack.plan import StackAddresses

_SHOWN_ROWS = 10


def as_report(result: DemoResult) -> dict[str, Any]:
    """The result for `--json`; money as strings to the last digit."""
    addresses, seen = result.addresses, result.seen
    return {
        "emitted": result.summary["events_emitted"]["acknowledged"],
        "stored": seen.stored,
        "runs": len(seen.reports["runs"]),
        "cost_usd": plain(_cost(seen.reports["runs"])),
        "unpriced_calls": seen.totals["unpriced_calls"],
        "unmeasured_calls": seen.totals["unmeasured_calls"],
        "unpriced_plugins": seen.totals["unpriced_plugins"],
        "estimated_cost_usd": plain(seen.totals["estimated_cost_usd"]),
        "by_model": seen.reports["models"],
        "by_node": seen.reports["nodes"],
        "by_node_type": seen.reports["node_types"],
        "by_workflow": seen.reports["workflows"],
        "by_user": seen.reports["users"],
        "rollup_lag_seconds": result.rollup_lag_seconds,
        "kafka": {"product": addresses.broker_product, "version": addresses.broker_version},
        "clickhouse": {"product": "ClickHouse", "version": addresses.clickhouse_version},
        "checks": [{"check": check.what, "holds": check.holds} for check in result.checks],
    }


def show_result(result: DemoResult) -> None:
    """Everything a person wants to see, in the order of the questions."""
    console = wide_console()
    shown_reports = (
        ("runs", "Cost per run, dearest first", sorted(_rows(result, "runs"), key=lambda row: -row["cost_usd"])),
        ("nodes", "Dearest nodes", _rows(result, "nodes")),
        ("models", "Cost and tokens per model", _rows(result, "models")),
        ("node_types", "Time by node type", _rows(result, "node_types")),
        ("workflows", "Top workflows by cost", _rows(result, "workflows")),
        ("users", "Totals per user, as quotas see them", _rows(result, "users")),
    )
    for name, title, rows in shown_reports:
        more = f" ({_SHOWN_ROWS} of {len(rows)})" if len(rows) > _SHOWN_ROWS else ""
        console.print(f"\n[bold]{title}[/bold]{more}", highlight=False)
        show_rows(name, rows[:_SHOWN_ROWS], console)
    _show_checks(result, console)


def show_stay(addresses: StackAddresses, served: Stay) -> None:
    """Where to look next. The key is shown here and nowhere else."""
    console = wide_console()
    elsewhere = addresses.data_dir != default_data_dir()
    lines = (
        f"\nThe dashboard, signed in: {served.dashboard}",
        f"The API: {served.url}/docs. Kafka: {addresses.bootstrap_servers}. ClickHouse: {addresses.analyst_url}",
        "In another terminal: "
        + (f"export TAXIMETER_DATA_DIR={shlex.quote(str(addresses.data_dir))}, then " if elsewhere else "")
        + 'taximeter report runs · taximeter sql "SELECT ..." · taximeter status',
        "Press Ctrl-C to end. What was metered stays in the data directory.",
    )
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _show_checks(result: DemoResult, console: Console) -> None:
    addresses = result.addresses
    emitted = result.summary["events_emitted"]["acknowledged"]
    console.print(
        f"\n[bold]Checks[/bold] on {addresses.broker_product} {addresses.broker_version}"
        f" and ClickHouse {addresses.clickhouse_version}",
        highlight=False,
    )
    for check in result.checks:
        mark = "[green]holds[/green]" if check.holds else "[red]FAILS[/red]"
        console.print(f"  {mark}  {escape(check.what)}", highlight=False)
        if not check.holds:
            console.print(f"         expected {check.expected}\n         found    {check.found}", markup=False)
    totals, runs = result.seen.totals, result.seen.reports["runs"]
    calls, plugins = totals["unpriced_calls"] + totals["unmeasured_calls"], totals["unpriced_plugins"]
    lacking = [f"{count:,} {what}" for count, what in ((calls, "calls"), (plugins, "uses of plugins")) if count]
    not_in_it = f" and what {' and '.join(lacking)} without a known price or use cost" if lacking else ""
    console.print(
        f"\n{emitted} events emitted, {result.seen.stored} stored; {len(runs)} runs cost {shown(_cost(runs))}"
        f"{not_in_it}; rollups complete {result.rollup_lag_seconds:.2f} s after the last event.",
        highlight=False,
    )


def _rows(result: DemoResult, name: str) -> Sequence[Row]:
    return result.seen.reports[name]


def _cost(rows: Sequence[Row]) -> Decimal:
    return sum((row["cost_usd"] for row in rows), Decimal(0))
