"""`taximeter report`: what runs, nodes, models, workflows and users cost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import open_clickhouse

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.queries import Filter, Row

RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="As `taximeter report runs` shows it")]
Account = Annotated[str | None, typer.Option(help="Only this account")]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only from this time on: ISO 8601 (UTC), or how long ago: 2h, 7d")
]
Until = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only before this time: ISO 8601 (UTC), or how long ago: 2h, 7d")
]
Limit = Annotated[int, typer.Option(min=1, help="At most this many rows")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON with exact numbers instead of a table")]

report = typer.Typer(no_args_is_help=True, help="What runs, nodes, models, workflows and users cost.")


@report.command()
@told_plainly
def run(run_id: RunId, account: Account = None, as_json: AsJson = False) -> None:
    """One run with its nodes and where its money went; exit code 1 where no such run is in the rollups.

    \b
    Examples:
      taximeter report run 0191f0c2-5e1b-7c1e-9d55-3f0b6a1c2d3e
      taximeter report run nightly-42 --account acme --json
    """
    from taximeter_consumers import queries
    from taximeter_infra.cli.report_view import print_json, show_run

    with closing(_connect()) as clickhouse:
        found = queries.run(clickhouse, run_id, account)
        nodes = queries.nodes_of_run(clickhouse, run_id, account)
    if as_json:
        print_json({"run": found, "nodes": nodes})
    elif found:
        show_run(found, nodes)
    if not found:
        typer.echo(
            f"error: no run {run_id} in the rollups\n  mend: `taximeter aggregate`, or look at --account", err=True
        )
        raise typer.Exit(1)


@report.command()
@told_plainly
def runs(
    account: Account = None, since: Since = None, until: Until = None, limit: Limit = 20, as_json: AsJson = False
) -> None:
    """Runs, the newest first.

    \b
    Examples:
      taximeter report runs --account acme --limit 50
      taximeter report runs --since 2026-11-01 --until 2026-12-01 --json
    """
    from taximeter_consumers import queries

    _show("runs", queries.runs, _filter(account, since, until, limit), as_json=as_json)


@report.command()
@told_plainly
def nodes(
    account: Account = None, since: Since = None, until: Until = None, limit: Limit = 20, as_json: AsJson = False
) -> None:
    """Nodes of single runs, the dearest first.

    \b
    Examples:
      taximeter report nodes
      taximeter report nodes --account acme --since 2026-11-20T08:00:00Z
    """
    from taximeter_consumers import queries

    _show("nodes", queries.dearest_nodes, _filter(account, since, until, limit), as_json=as_json)


@report.command()
@told_plainly
def models(
    account: Account = None, since: Since = None, until: Until = None, limit: Limit = 20, as_json: AsJson = False
) -> None:
    """Models by cost, with their tokens. Times count by whole hours.

    \b
    Examples:
      taximeter report models
      taximeter report models --since 7d --json
    """
    from taximeter_consumers import queries

    _show("models", queries.models, _filter(account, since, until, limit), as_json=as_json)


@report.command()
@told_plainly
def workflows(
    account: Account = None, since: Since = None, until: Until = None, limit: Limit = 20, as_json: AsJson = False
) -> None:
    """Workflows by cost, with what was spent on attempts that were tried again, failed or were cancelled.

    \b
    Examples:
      taximeter report workflows --account acme
    """
    from taximeter_consumers import queries

    _show("workflows", queries.workflows, _filter(account, since, until, limit), as_json=as_json)


@report.command()
@told_plainly
def users(
    account: Account = None, since: Since = None, until: Until = None, limit: Limit = 20, as_json: AsJson = False
) -> None:
    """Users by cost, with what quotas look at. Times count by whole minutes.

    \b
    Examples:
      taximeter report users --account acme --since 2026-11-01
    """
    from taximeter_consumers import queries

    _show("users", queries.users, _filter(account, since, until, limit), as_json=as_json)


@report.command()
@told_plainly
def summary(account: Account = None, since: Since = None, until: Until = None, as_json: AsJson = False) -> None:
    """Everything together: cost, tokens and calls in total, by model, context and day. Times count by whole hours.

    \b
    Examples:
      taximeter report summary --since 30d
      taximeter report summary --account acme --since 2026-11-01 --until 2026-12-01 --json
    """
    from taximeter_consumers import queries
    from taximeter_infra.cli.report_view import print_json
    from taximeter_infra.cli.summary_view import show_summary

    chosen = _filter(account, since, until)
    with closing(_connect()) as clickhouse:
        found = queries.usage_summary(clickhouse, chosen)
    if as_json:
        print_json(found.plainly())
    else:
        show_summary(found)


def register(app: typer.Typer) -> None:
    """Put these commands on the app, under `report`."""
    app.add_typer(report, name="report", rich_help_panel=Panel.ANSWERS)


def _show(name: str, ask: Callable[[ClickHouse, Filter], list[Row]], chosen: Filter, *, as_json: bool) -> None:
    from taximeter_infra.cli.report_view import next_steps, print_json, show_rows

    with closing(_connect()) as clickhouse:
        rows = ask(clickhouse, chosen)
    if as_json:
        print_json({name: rows})
    else:
        show_rows(name, rows)
        for line in next_steps(name, rows, chosen.limit):
            typer.echo(line)


def _connect() -> ClickHouse:
    from taximeter_infra.cli.context import clickhouse_settings

    return open_clickhouse(clickhouse_settings())


def _filter(account: str | None, since: str | None, until: str | None, limit: int = 1) -> Filter:
    from taximeter_consumers.queries import Filter

    return Filter(account, _time(since, "--since"), _time(until, "--until"), limit)


def _time(text: str | None, option: str) -> datetime | None:
    from taximeter_infra.cli.moments import parse_moment

    return None if text is None else parse_moment(text, datetime.now(UTC), option)
