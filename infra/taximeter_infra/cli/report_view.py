"""How reports look: tables for people, with what a sum lacks told below it, and exact JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from taximeter_consumers.queries import Row
from taximeter_infra.cli.report_words import cell, footnotes, parts
from taximeter_schemas.money import plain

# Where there is no terminal to ask: wide enough for any row.
_PIPE_WIDTH = 1_000

# Per report: heading and column. What is not shown here is in the JSON.
COLUMNS = {
    "runs": {
        "run": "run_id", "account": "account_id", "workflow": "workflow_id", "user": "user_id",
        "started": "started_at", "time": "duration_us", "attempts": "executions", "failed": "failed",
        "in": "input_tokens", "out": "output_tokens", "wasted": "wasted_cost_usd", "cost": "cost_usd",
    },
    "nodes": {
        "run": "run_id", "node": "node_id", "type": "node_type", "account": "account_id", "attempts": "executions",
        "failed": "failed", "time": "duration_us", "in": "input_tokens", "out": "output_tokens",
        "for plugins": "plugin_cost_usd", "for resources": "resource_cost_usd", "re-rated": "adjusted_cost_usd",
        "retried $": "retried_cost_usd", "failed $": "failed_cost_usd", "cancelled $": "cancelled_cost_usd",
        "useful $": "useful_cost_usd", "cost": "cost_usd",
    },
    "models": {
        "provider": "provider", "model": "model", "use": "usage_type", "calls": "ai_calls", "in": "input_tokens",
        "cache read": "cache_read_tokens", "out": "output_tokens", "re-rated": "adjusted_cost_usd", "cost": "cost_usd",
    },
    "workflows": {
        "workflow": "workflow_id", "account": "account_id", "runs": "runs", "attempts": "executions",
        "failed": "failed", "in": "input_tokens", "out": "output_tokens", "wasted": "wasted_cost_usd",
        "wasted %": "wasted_share", "cost": "cost_usd",
    },
    "users": {
        "user": "user_id", "account": "account_id", "attempts": "executions", "calls": "ai_calls", "in": "input_tokens",
        "out": "output_tokens", "requests": "http_requests", "CPU": "cpu_us", "for plugins": "plugin_cost_usd",
        "for resources": "resource_cost_usd", "re-rated": "adjusted_cost_usd", "cost": "cost_usd",
    },
    "node_types": {
        "type": "node_type", "nodes": "nodes", "attempts": "executions", "failed": "failed", "time": "duration_us",
        "wasted": "wasted_cost_usd", "cost": "cost_usd",
    },
    "by_model": {
        "provider": "provider", "model": "model", "calls": "ai_calls", "in": "input_tokens", "out": "output_tokens",
        "cost": "cost_usd",
    },
    "by_context": {
        "context": "context", "attempts": "executions", "calls": "ai_calls", "in": "input_tokens",
        "out": "output_tokens", "cost": "cost_usd",
    },
    "by_day": {
        "day": "day", "attempts": "executions", "calls": "ai_calls", "in": "input_tokens", "out": "output_tokens",
        "cost": "cost_usd",
    },
}  # fmt: skip
# Columns that are shown only where this is not zero in some row.
_WHERE_NOT_ZERO = {
    "for plugins": "plugin_cost_usd", "for resources": "resource_cost_usd", "re-rated": "adjusted_cost_usd",
    "wasted": "wasted_cost_usd", "wasted %": "wasted_cost_usd", "retried $": "retried_cost_usd",
    "failed $": "failed_cost_usd", "cancelled $": "cancelled_cost_usd", "useful $": "wasted_cost_usd",
}  # fmt: skip
# What a narrow terminal does without first; the JSON has all of it.
_SPARE = (
    "started", "user", "use", "cache read", "requests", "CPU", "time", "useful $", "cancelled $", "failed $",
    "retried $", "for resources", "for plugins", "re-rated", "in", "out", "attempts", "wasted %", "account", "wasted",
)  # fmt: skip
FILL = "`taximeter sink --until-caught-up` and `taximeter aggregate` bring in what was sent"
_WORDS = {"run", "account", "workflow", "user", "node", "type", "provider", "model", "use", "context", "day"}


def wide_console() -> Console:
    """Standard output; where it is no terminal (a pipe, a log) wide enough that nothing is folded."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def show_rows(name: str, rows: Sequence[Row], console: Console | None = None, title: str | None = None) -> None:
    """One table, and below it what its sums lack."""
    console = console or wide_console()
    if not rows:
        console.print(f"no {name.replace('_', ' ')} in the rollups; {FILL}", highlight=False)
        return
    show_table(name, rows, console, title)
    for line in footnotes(rows):
        console.print(line, highlight=False, markup=False)


def show_table(name: str, rows: Sequence[Row], console: Console, title: str | None = None) -> None:
    """The table alone, without the columns that are empty or for which there is no room."""
    columns, left_out = _columns(name, rows), []
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


def natural_width(table: Table, console: Console) -> int:
    """How wide the table is when nothing is folded."""
    return console.measure(table, options=console.options.update(max_width=_PIPE_WIDTH)).maximum


def show_run(found: Sequence[Row], nodes: Sequence[Row]) -> None:
    """A run and its nodes, with what its cost consists of."""
    console = wide_console()
    show_rows("runs", found, console)
    for row in found:
        for line in parts(row):
            console.print(f"{row['account_id']}: {line}" if len(found) > 1 else line, highlight=False, markup=False)
    console.print()
    show_rows("nodes", nodes, console)


def next_steps(name: str, rows: Sequence[Row], limit: int) -> list[str]:
    """Where to look next: for rows beyond the limit, and for the name of a provider that was guessed."""
    lines = [f"{limit:,} rows at most; --limit shows more"] if len(rows) == limit else []
    if name == "models" and any(row["unpriced_calls"] and row["provider"].endswith("-compatible") for row in rows):
        lines.append(
            "a provider in -compatible was guessed from a path: name its host, instrument(meter, providers={...})"
        )
    return lines


def _columns(name: str, rows: Sequence[Row]) -> dict[str, str]:
    return {
        heading: column
        for heading, column in COLUMNS[name].items()
        if heading not in _WHERE_NOT_ZERO or any(row[_WHERE_NOT_ZERO[heading]] for row in rows)
    }


def _table(columns: Mapping[str, str], rows: Sequence[Row], title: str | None) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for heading in columns:
        words = heading in _WORDS
        table.add_column(heading, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell(column, row)) for column in columns.values()))
    return table


def print_json(report: dict[str, Any]) -> None:
    """The report as JSON: costs as strings to the last digit, times in ISO 8601."""
    typer.echo(json.dumps(report, indent=2, default=_plainly))


def _plainly(value: Any) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"no JSON form for {type(value).__name__}")
