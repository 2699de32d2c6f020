"""`taximeter invoice`: closes billing periods, shows and hands out invoices, and keeps what became of them."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import open_clickhouse
from taximeter_infra.cli.serving import MetricsOption, running
from taximeter_infra.cli.who import who

if TYPE_CHECKING:
    from taximeter_consumers.billing import Request, Status
    from taximeter_consumers.clickhouse import ClickHouse

# The charges of one account over all its periods take longer than an ordinary statement.
_QUERY_SECONDS = 600


class Form(StrEnum):
    """What an invoice is exported as."""

    JSON = "json"
    CSV = "csv"
    HTML = "html"
    PDF = "pdf"


Name = Annotated[str, typer.Argument(metavar="INVOICE", help="As `taximeter invoice list` shows it: INV-000042, or 42")]
Account = Annotated[str | None, typer.Option(help="Only this account")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON with exact amounts instead of text")]
Note = Annotated[str, typer.Option(help="Why, for the record")]
By = Annotated[str | None, typer.Option(metavar="WHO", help="Who says so", show_default="your user name")]

invoice = typer.Typer(no_args_is_help=True, help="Close billing periods; show, export and settle invoices.")


@invoice.command()
@told_plainly
def run(
    period: Annotated[
        str | None,
        typer.Option(metavar="MONTH", help="The month in which it begins", show_default="all that are closed"),
    ] = None,
    account: Account = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would come to; issue nothing")] = False,
    reissue: Annotated[bool, typer.Option("--reissue", help="Issue anew where the period's invoice is void")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until stopped by Ctrl-C or SIGTERM")] = False,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between looks, with --follow")] = 3_600.0,
    metrics: MetricsOption = "",
    as_json: AsJson = False,
) -> None:
    """Close billing periods: one invoice for each account that owes something.

    A period is closed when its grace has passed after its end, 24 hours if
    nothing else is set. Running twice, or two at once, issues each invoice
    once; numbers follow each other without a gap. What comes late, or is
    re-rated, is on the next invoice: those that are issued never change.

    \b
    Examples:
      taximeter invoice run --dry-run
      taximeter invoice run --period 2026-11
      taximeter invoice run --period 2026-11 --account acme --json
      taximeter invoice run --follow
    """
    from taximeter_consumers.billing import Request

    if follow and (period or account or dry_run or reissue or as_json):
        raise typer.BadParameter("--follow goes with --interval and --metrics only")
    with closing(_connect()) as clickhouse:
        if follow:
            _follow(clickhouse, interval, metrics)
        elif dry_run:
            _preview(clickhouse, Request(period, account, reissue), as_json=as_json)
        else:
            _close(clickhouse, Request(period, account, reissue), as_json=as_json)


@invoice.command("list")
@told_plainly
def list_(
    account: Account = None,
    period: Annotated[str | None, typer.Option(metavar="MONTH", help="Only of this period")] = None,
    status: Annotated[str | None, typer.Option(help="Only pending, paid, failed or void ones")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many")] = 50,
    as_json: AsJson = False,
) -> None:
    """Invoices, the last one first.

    \b
    Examples:
      taximeter invoice list --account acme
      taximeter invoice list --status pending --json
    """
    from taximeter_consumers.billing.stored import list_invoices
    from taximeter_infra.cli.invoice_view import print_object, show_heads

    chosen = {"account": account or "", "period": period or "", "status": status or ""}
    with closing(_connect()) as clickhouse:
        heads = list_invoices(clickhouse, chosen, limit)
    if as_json:
        print_object({"invoices": heads})
    else:
        show_heads(heads)


@invoice.command()
@told_plainly
def show(name: Name, as_json: AsJson = False) -> None:
    """One invoice with its lines, and what became of it.

    Exit code 3 where it is not what was issued: its digest does not fit.

    \b
    Examples:
      taximeter invoice show INV-000042
      taximeter invoice show 42 --json
    """
    from taximeter_consumers.billing.invoice import invoice_object
    from taximeter_consumers.billing.status import history
    from taximeter_consumers.billing.stored import invoice_named
    from taximeter_infra.cli.invoice_view import print_object, show_invoice

    with closing(_connect()) as clickhouse:
        found = invoice_named(clickhouse, name)
        changes = history(clickhouse, found.number)
    if as_json:
        print_object({**invoice_object(found), "is_intact": found.is_intact, "history": changes})
    else:
        show_invoice(found, changes)
    if not found.is_intact:
        typer.echo(f"{found.invoice_id} was changed after it was issued: its digest does not fit", err=True)
        raise typer.Exit(ExitCode.CHECK_FAILED)


@invoice.command()
@told_plainly
def export(
    name: Name,
    form: Annotated[Form, typer.Option("--format", "-f", help="What to write")] = Form.JSON,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to", show_default="standard output")
    ] = None,
    seller: Annotated[
        str,
        typer.Option(
            envvar="TAXIMETER_INVOICE_SELLER",
            help=r"Who sends it: name and address for HTML and PDF, lines apart by \n",
        ),
    ] = "",
) -> None:
    """Write an invoice as JSON, CSV of its lines, a printable HTML page, or PDF.

    \b
    Examples:
      taximeter invoice export INV-000042 --format pdf --output INV-000042.pdf
      taximeter invoice export 42 -f csv > lines.csv
    """
    from taximeter_consumers.billing.stored import invoice_named
    from taximeter_infra.cli.invoice_view import exported

    with closing(_connect()) as clickhouse:
        found = invoice_named(clickhouse, name)
    content = exported(found, form.value, seller.replace("\\n", "\n"))
    if output is not None:
        output.write_bytes(content)
        typer.echo(f"{found.invoice_id} written to {output}", err=True)
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


@invoice.command()
@told_plainly
def pay(name: Name, note: Note = "", by: By = None, as_json: AsJson = False) -> None:
    """An invoice is paid. That is final: a correction later is a credit.

    \b
    Examples:
      taximeter invoice pay INV-000042 --note "bank transfer 2026-12-07"
    """
    from taximeter_consumers.billing import Status

    _change(name, Status.PAID, note, by, as_json=as_json)


@invoice.command()
@told_plainly
def fail(name: Name, note: Note = "", by: By = None, as_json: AsJson = False) -> None:
    """A payment failed. The invoice stays open: it can still be paid, reopened or made void.

    \b
    Examples:
      taximeter invoice fail INV-000042 --note "card expired"
    """
    from taximeter_consumers.billing import Status

    _change(name, Status.FAILED, note, by, as_json=as_json)


@invoice.command()
@told_plainly
def reopen(name: Name, note: Note = "", by: By = None, as_json: AsJson = False) -> None:
    """A failed invoice is pending again.

    \b
    Examples:
      taximeter invoice reopen INV-000042 --note "new card"
    """
    from taximeter_consumers.billing import Status

    _change(name, Status.PENDING, note, by, as_json=as_json)


@invoice.command()
@told_plainly
def void(name: Name, note: Note = "", by: By = None, as_json: AsJson = False) -> None:
    """An invoice counts no more; its number stays. That is final.

    Its usage is billed again: on the next invoice as late lines, or by
    `taximeter invoice run --period MONTH --reissue`, which bills fees and
    allowance anew as well. Credits that it used are free again.

    \b
    Examples:
      taximeter invoice void INV-000042 --note "wrong address"
    """
    from taximeter_consumers.billing import Status

    _change(name, Status.VOID, note, by, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Put these commands on the app, under `invoice`."""
    app.add_typer(invoice, name="invoice", rich_help_panel=Panel.MONEY)


def _change(name: str, status: Status, note: str, by: str | None, *, as_json: bool) -> None:
    from taximeter_consumers.billing import Change, change_status
    from taximeter_consumers.billing.stored import invoice_named

    with closing(_connect()) as clickhouse:
        found = invoice_named(clickhouse, name)
        changed = change_status(clickhouse, found, Change(status, datetime.now(UTC), who(by), note))
    said = {"invoice_id": changed.invoice_id, "status": changed.status}
    typer.echo(json.dumps(said, indent=2) if as_json else f"{changed.invoice_id} is {changed.status}")


def _preview(clickhouse: ClickHouse, request: Request, *, as_json: bool) -> None:
    from taximeter_consumers.billing import preview_periods
    from taximeter_consumers.billing.invoice import as_object
    from taximeter_infra.cli.invoice_view import print_object, show_drafts

    drafts = preview_periods(clickhouse, request, datetime.now(UTC))
    if as_json:
        print_object({"drafts": [as_object(draft) for draft in drafts]})
    else:
        show_drafts(drafts)


def _close(clickhouse: ClickHouse, request: Request, *, as_json: bool) -> None:
    from taximeter_consumers.billing import close_periods
    from taximeter_infra.cli.invoice_view import print_object, report_object, show_report

    report = close_periods(clickhouse, request, datetime.now(UTC))
    if as_json:
        print_object(report_object(report))
    else:
        show_report(report)
    if report.refused:
        raise typer.Exit(ExitCode.FAILURE)


def _follow(clickhouse: ClickHouse, interval: float, metrics: str) -> None:
    from taximeter_consumers.billing import follow_periods

    with running("invoices", metrics) as stop:
        follow_periods(clickhouse, stop, interval)


def _connect() -> ClickHouse:
    from taximeter_infra.cli.context import clickhouse_settings

    return open_clickhouse(clickhouse_settings(), timeout_seconds=_QUERY_SECONDS)
