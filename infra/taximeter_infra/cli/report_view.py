"""How reports look: tables for people, with what a sum lacks told below it, and exact JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from taximeter_consumers.queries import Row
from taximeter_schemas.money import plain, shown

# Where there is no terminal to ask: wide enough for any row.
_PIPE_WIDTH = 1_000

# Per report: heading and column. What is not shown here is in the JSON.
COLUMNS = {
    "runs": {
        "run": "run_id", "account": "account_id", "workflow": "workflow_id", "user": "user_id",
        "started": "started_at", "time": "duration_us", "attempts": "executions", "failed": "failed",
        "in": "input_tokens", "out": "output_tokens", "cost": "cost_usd",
    },
    "nodes": {
        "run": "run_id", "node": "node_id", "type": "node_type", "account": "account_id", "attempts": "executions",
        "failed": "failed", "time": "duration_us", "in": "input_tokens", "out": "output_tokens", "cost": "cost_usd",
    },
    "models": {
        "provider": "provider", "model": "model", "use": "usage_type", "calls": "ai_calls", "in": "input_tokens",
        "cache read": "cache_read_tokens", "out": "output_tokens", "cost": "cost_usd",
    },
    "workflows": {
        "workflow": "workflow_id", "account": "account_id", "runs": "runs", "attempts": "executions",
        "failed": "failed", "in": "input_tokens", "out": "output_tokens", "cost": "cost_usd",
    },
    "users": {
        "user": "user_id", "account": "account_id", "attempts": "executions", "calls": "ai_calls", "in": "input_tokens",
        "out": "output_tokens", "requests": "http_requests", "CPU": "cpu_us", "cost": "cost_usd",
    },
    "node_types": {
        "type": "node_type", "nodes": "nodes", "attempts": "executions", "failed": "failed", "time": "duration_us",
        "cost": "cost_usd",
    },
}  # fmt: skip
# What a narrow terminal does without first; the JSON has all of it.
_SPARE = ("started", "user", "use", "cache read", "requests", "CPU", "time", "in", "out", "attempts", "account")
_FILL = "`taximeter sink --until-caught-up` and `taximeter aggregate` bring in what was sent"
_TOKENS = {"input_tokens", "output_tokens", "cache_read_tokens"}
_WORDS = {"run", "account", "workflow", "user", "node", "type", "provider", "model", "use"}


def wide_console() -> Console:
    """Standard output; where it is no terminal (a pipe, a log) wide enough that nothing is folded."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def show_rows(name: str, rows: Sequence[Row], console: Console | None = None, title: str | None = None) -> None:
    """One table, and below it what its sums lack."""
    console = console or wide_console()
    if not rows:
        console.print(f"no {name.replace('_', ' ')} in the rollups; {_FILL}", highlight=False)
        return
    columns, left_out = dict(COLUMNS[name]), []
    subject = next(iter(columns))
    table = _table(columns, rows, title)
    for heading in (spare for spare in _SPARE if spare in columns and spare != subject):
        if natural_width(table, console) <= console.width:
            break
        left_out.append(heading)
        del columns[heading]
        table = _table(columns, rows, title)
    console.print(table, highlight=False)
    if left_out:
        console.print(f"too narrow for {', '.join(left_out)}; --json has all", highlight=False)
    for line in footnotes(rows):
        console.print(line, highlight=False, markup=False)


def natural_width(table: Table, console: Console) -> int:
    """How wide the table is when nothing is folded."""
    return console.measure(table, options=console.options.update(max_width=_PIPE_WIDTH)).maximum


def show_run(found: Sequence[Row], nodes: Sequence[Row]) -> None:
    """A run and its nodes."""
    console = wide_console()
    show_rows("runs", found, console)
    console.print()
    show_rows("nodes", nodes, console)


def footnotes(rows: Sequence[Row]) -> list[str]:
    """What the costs of `rows` do not say: calls without a price, without a measure, or with an estimate."""
    calls = sum(row["ai_calls"] for row in rows)
    told = {
        "unpriced_calls": ("has no price and is not in the sum", "have no price and are not in the sum"),
        "unmeasured_calls": ("has no known use and is not in the sum", "have no known use and are not in the sum"),
        "estimated_calls": ("is estimated", "are estimated"),
    }
    lines = []
    for column, (one, many) in told.items():
        count = sum(row[column] for row in rows)
        if count:
            lines.append(f"{count:,} of {calls:,} calls {one if count == 1 else many}")
    return lines


def next_steps(name: str, rows: Sequence[Row], limit: int) -> list[str]:
    """Where to look next: for rows beyond the limit, and for the price of calls that have none."""
    lines = [f"{limit:,} rows at most; --limit shows more"] if len(rows) == limit else []
    unpriced = [row for row in rows if row["unpriced_calls"]]
    if unpriced and name != "models":
        lines.append("`taximeter report models` says which calls have no price")
    elif any(row["provider"].endswith("-compatible") for row in unpriced):
        lines.append(
            "a provider in -compatible was guessed from a path: name its host, instrument(meter, providers={...})"
        )
    return lines


def _table(columns: Mapping[str, str], rows: Sequence[Row], title: str | None) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for heading in columns:
        words = heading in _WORDS
        table.add_column(heading, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(column, row)) for column in columns.values()))
    return table


def print_json(report: dict[str, Any]) -> None:
    """The report as JSON: costs as strings to the last digit, times in ISO 8601."""
    typer.echo(json.dumps(report, indent=2, default=_plainly))


def _plainly(value: Any) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _cost(cost: Decimal, row: Row) -> str:
    """What is known of a cost. Unknown is not zero: it says so where calls are not in the sum."""
    lacking = row["unpriced_calls"] + row["unmeasured_calls"]
    if row["ai_calls"] == 0:
        return "-"
    if lacking == row["ai_calls"]:
        return "unknown"
    return f"\u2265 {shown(cost)}" if lacking else shown(cost)


def _cell(column: str, row: Row) -> str:
    if column == "failed":
        return f"{row['errors'] + row['timeouts'] + row['cancellations']:,}"
    value = row[column]
    if column == "cost_usd":
        return _cost(value, row)
    if column in _TOKENS and value == 0 and 0 < row["ai_calls"] == row["unmeasured_calls"]:
        return "unknown"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if column in ("duration_us", "cpu_us"):
        return f"{value / 1_000_000:,.2f} s"
    return f"{value:,}" if isinstance(value, int) else str(value)
