"""`taximeter retention`: how long raw events and their texts are kept."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import open_clickhouse
from taximeter_infra.cli.who import who

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

ByOption = Annotated[str | None, typer.Option(metavar="NAME", help="Who orders it", show_default="your user name")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of text")]
# A deletion rewrites every part of a month.
_STATEMENT_SECONDS = 3_600
_EVENTS = "SELECT count(), if(count() = 0, '', toString(toDate(min(id_time)))) FROM stored_events"
_LOGS = """
SELECT name, extract(create_table_query, 'TTL (event_date \\\\+ toInterval[A-Za-z]+[(][0-9]+[)])') FROM system.tables
WHERE database = 'system' AND name LIKE '%\\\\_log' AND engine LIKE '%MergeTree%' ORDER BY name
"""

retention = typer.Typer(no_args_is_help=True, help="How long raw events and their texts are kept.")


@retention.command()
@told_plainly
def show(as_json: JsonOption = False) -> None:
    """Show what is kept for how long. Money is kept for ever: rollups, charges, invoices.

    \b
    Examples:
      taximeter retention show
      taximeter retention show --json
    """
    with closing(_connect()) as clickhouse:
        told = _state(clickhouse)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    kept = told["events_kept_from"]
    typer.echo(
        f"raw events: {f'those before {kept} were deleted' if kept else 'kept for ever'}; {told['events']:,} rows"
    )
    if told["late_rows"]:
        typer.echo(f"  {told['late_rows']:,} rows came later with a date before that, and are in no sum by time")
    days = told["texts_days"]
    typer.echo(f"texts of raw events: {f'emptied after {days} days' if days else 'kept as long as the events'}")
    typer.echo("rollups, charges, invoices: kept for ever")
    typer.echo("states of quotas: minutes 3 days, runs 30 days, days and months for ever")
    for name, ttl in told["system_logs"].items():
        typer.echo(f"system.{name}: {ttl or 'kept for ever'}")
    typer.echo("topics: `taximeter topics describe`")


@retention.command("set")
@told_plainly
def set_(
    texts: Annotated[
        str, typer.Option(metavar="DAYS", help="Empty the texts of raw events after so many days; or forever")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the rows whose texts are due")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Empty them; not needed to keep texts for longer")] = False,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set how long error messages, descriptions and other free texts of raw events are kept. No sum reads them.

    What is due is emptied at once, in the background. There is no way back.

    \b
    Examples:
      taximeter retention set --texts 90 --dry-run
      taximeter retention set --texts 90 --yes
      taximeter retention set --texts forever
    """
    from taximeter_consumers.retention.texts import is_shorter, keep_texts, texts_due, texts_kept_days

    if texts != "forever" and not (texts.isdecimal() and int(texts) > 0):
        raise typer.BadParameter("a number of days above 0, or forever", param_hint="--texts")
    if dry_run and yes:
        raise typer.BadParameter("--dry-run and --yes exclude each other")
    days = None if texts == "forever" else int(texts)
    with closing(_connect()) as clickhouse:
        due = texts_due(clickhouse, days)
        refused = not yes and is_shorter(days, texts_kept_days(clickhouse))
        if not (dry_run or refused):
            keep_texts(clickhouse, days, who(by))
        told = _state(clickhouse) | {"done": not (dry_run or refused), "due_rows": due}
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    elif told["done"]:
        typer.echo(f"texts of raw events: {texts}")
    else:
        typer.echo(f"would empty the texts of {due:,} rows, and of others as they get older")
    if refused and not dry_run:
        typer.echo("nothing is changed; --yes sets it", err=True)
        raise typer.Exit(ExitCode.USAGE)


@retention.command()
@told_plainly
def delete(
    before: Annotated[str, typer.Option(metavar="TIME", help="Raw events before this day (UTC): ISO 8601, or 400d")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the rows, by month")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it nothing is changed")] = False,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete raw events before a day. Every sum stays, and what is before that day is never counted again.

    Then nothing can be priced anew, rebuilt or proved before that day. There
    is no way back. The last 35 days are never deleted.

    \b
    Examples:
      taximeter retention delete --before 400d --dry-run
      taximeter retention delete --before 2025-10-01 --yes --json
    """
    from taximeter_consumers.retention import delete as deletion
    from taximeter_infra.cli.moments import parse_moment

    if dry_run and yes:
        raise typer.BadParameter("--dry-run and --yes exclude each other")
    now = datetime.now(UTC)
    day = deletion.day_of(parse_moment(before, now, "--before"), now)
    name = who(by) if yes else ""
    with closing(_connect()) as clickhouse:
        if yes:
            with _progress() as say:
                done = deletion.delete(clickhouse, day, name, say)
        else:
            done = deletion.deletable(clickhouse, day)
    if as_json:
        months = {str(month): rows for month, rows in done.months.items()}
        typer.echo(
            json.dumps({"done": yes, "before": day.date().isoformat(), "months": months, "rows": done.rows}, indent=2)
        )
    else:
        for month, rows in done.months.items():
            typer.echo(f"{month // 100}-{month % 100:02}: {rows:,} rows")
        typer.echo(f"{'deleted' if yes else 'would delete'}: {done.rows:,} rows from before {day.date()}")
    if not (yes or dry_run) and done.rows:
        typer.echo("nothing is changed; --yes deletes", err=True)
        raise typer.Exit(ExitCode.USAGE)


def register(app: typer.Typer) -> None:
    """Put these commands on the app."""
    app.add_typer(retention, name="retention", rich_help_panel=Panel.PIPELINE)


def _state(clickhouse: ClickHouse) -> dict[str, Any]:
    from taximeter_consumers.retention.delete import late
    from taximeter_consumers.retention.horizon import kept_from
    from taximeter_consumers.retention.texts import texts_kept_days

    horizon = kept_from(clickhouse)
    count, oldest = clickhouse.rows(_EVENTS)[0]
    return {
        "events": int(count),
        "oldest_event": oldest or None,
        "events_kept_from": datetime.fromtimestamp(horizon / 1_000_000, UTC).date().isoformat() if horizon else None,
        "late_rows": late(clickhouse),
        "texts_days": texts_kept_days(clickhouse),
        "system_logs": {name: ttl or None for name, ttl in clickhouse.rows(_LOGS)},
    }


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What is being done, on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _what: None
        return
    from rich.console import Console

    with Console(stderr=True).status("deleting") as status:
        yield lambda what: status.update(what)


def _connect() -> ClickHouse:
    from taximeter_infra.cli.context import clickhouse_settings

    return open_clickhouse(clickhouse_settings(), timeout_seconds=_STATEMENT_SECONDS)
