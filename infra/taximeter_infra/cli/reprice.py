"""`taximeter reprice`: what past uses cost by the price book of now, shown, and then written as adjustments."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import open_clickhouse
from taximeter_infra.cli.who import who

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.reprice import Order, Outcome

# A slice prices a quarter of a million events twice.
_QUERY_SECONDS = 3_600


@told_plainly
def reprice(
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="Uses from this time on: ISO 8601 (UTC), or 7d")],
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Uses before this time", show_default="now")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Only this account")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why: it stands beside every adjustment")] = "",
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who orders it", show_default="your user name")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before writing")] = False,
    top: Annotated[int, typer.Option(min=0, help="Show so many runs, those that change most")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables")] = False,
) -> None:
    """Price past uses by the book of now: show the difference, then append it as adjustments.

    Events, their first price and issued invoices never change. What falls into
    a period that is invoiced already comes on the account's next invoice.
    Giving the same order again finds no difference and writes nothing.

    \b
    Examples:
      taximeter reprice --from 2026-11-01 --to 2026-11-15 --dry-run
      taximeter reprice --from 2026-11-01 --account acme --reason "list price was late" --yes
    """
    from taximeter_consumers.reprice import Order
    from taximeter_infra.cli.context import clickhouse_settings
    from taximeter_infra.cli.moments import parse_moment

    now = datetime.now(UTC)
    order = Order(
        parse_moment(since, now, "--from"),
        now if until is None else parse_moment(until, now, "--to"),
        account or "",
        who(by),
        reason,
    )
    if order.since >= order.until:
        raise typer.BadParameter("--from must be before --to")
    if not dry_run and not reason:
        raise typer.BadParameter("say why: --reason TEXT (or --dry-run to look only)")
    if as_json and not (dry_run or yes):
        raise typer.BadParameter("--json goes with --dry-run or --yes")
    with closing(open_clickhouse(clickhouse_settings(), timeout_seconds=_QUERY_SECONDS)) as clickhouse:
        _reprice(clickhouse, order, top, as_json=as_json, write=None if dry_run else yes)


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(short_help="Price past uses by the book of now.", rich_help_panel=Panel.MONEY)(reprice)


def _reprice(clickhouse: ClickHouse, order: Order, top: int, *, as_json: bool, write: bool | None) -> None:
    """`write`: None not at all, False after asking, True at once."""
    from taximeter_consumers.reprice import preview, rerate
    from taximeter_infra.cli.reprice_view import as_object, show

    with _told("re-rating" if write else "comparing") as progress:
        done = (rerate if write else preview)(clickhouse, order, progress)
    issued = _issued(clickhouse, done)
    if as_json:
        typer.echo(json.dumps(as_object(order, done, issued, top), indent=2))
        return
    show(order, done, issued, top)
    if write is False and done.summary.total.events:
        typer.confirm("append these adjustments?", abort=True)
        with _told("re-rating") as progress:
            written = rerate(clickhouse, order, progress)
        typer.echo(f"written as {written.reprice_id}, and in the rollups")


def _issued(clickhouse: ClickHouse, done: Outcome) -> set[tuple[str, str]]:
    """The billing periods that have an invoice, of those that change."""
    accounts = sorted({account for account, _ in done.summary.periods})
    sql = "SELECT account_id, period FROM invoices WHERE status != 'void' AND account_id IN {accounts:Array(String)}"
    return (
        {(account, period) for account, period in clickhouse.rows(sql, {"accounts": accounts})} if accounts else set()
    )


@contextmanager
def _told(what: str) -> Iterator[Callable[[int], None]]:
    """How many events were looked at, on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _events: None
        return
    from rich.console import Console

    seen = 0
    with Console(stderr=True).status(what) as status:

        def progress(events: int) -> None:
            nonlocal seen
            seen += events
            status.update(f"{what}: {seen:,} events")

        yield progress
