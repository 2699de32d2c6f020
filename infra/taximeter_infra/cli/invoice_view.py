"""How invoices look: tables for people, exact JSON for programs, files to hand out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from taximeter_consumers.billing.invoice import Draft, Invoice, invoice_object
from taximeter_consumers.billing.lines import sum_of
from taximeter_consumers.billing.page import Page, page_of
from taximeter_consumers.billing.run import RunReport
from taximeter_consumers.billing.wording import dollars
from taximeter_infra.cli.failures import describe
from taximeter_infra.cli.report_view import wide_console
from taximeter_schemas.money import plain


def print_object(said: Mapping[str, Any]) -> None:
    """JSON: amounts as strings to the last digit, times in ISO 8601."""
    typer.echo(json.dumps(said, indent=2, default=_plainly))


def report_object(report: RunReport) -> dict[str, Any]:
    """What a run did."""
    return {
        "issued": [invoice_object(invoice) for invoice in report.issued],
        "existing": [_head(invoice) for invoice in report.existing],
        "refused": [
            {"account_id": account_id, "error": error.problem, "mend": error.mend}
            for account_id, error in report.refused
        ],
    }


def show_report(report: RunReport) -> None:
    """What a run did, in lines."""
    for invoice in report.issued:
        typer.echo(f"issued {_told(invoice)}")
    for invoice in report.existing:
        typer.echo(f"exists {_told(invoice)}, {invoice.status}")
    if not (report.issued or report.existing or report.refused):
        typer.echo("nothing to invoice")
    for account_id, error in report.refused:
        typer.echo(f"account {account_id} is not invoiced\n{describe(error)}", err=True)


def show_drafts(drafts: Sequence[Draft]) -> None:
    """What would be issued."""
    table = _table(("account", "period", "lines", "usage", "late", "due"), left=2)
    for draft in drafts:
        kinds = {kind: sum_of([line for line in draft.lines if line.kind == kind]) for kind in ("usage", "late")}
        due = dollars(sum_of(draft.lines), places=2)
        cells = (draft.account_id, draft.period.label, f"{len(draft.lines):,}", *map(dollars, kinds.values()), due)
        table.add_row(*map(escape, cells))
    if drafts:
        wide_console().print(table, highlight=False)
    typer.echo("nothing was issued" if drafts else "nothing to invoice")


def show_heads(heads: Sequence[Mapping[str, Any]]) -> None:
    """Invoices, a line each."""
    if not heads:
        typer.echo("no invoices")
        return
    table = _table(("invoice", "account", "period", "issued", "usage", "late", "due", "status"), left=4)
    for head in heads:
        cells = (
            head["invoice_id"],
            head["account_id"],
            head["period"],
            f"{head['issued_at']:%Y-%m-%d}",
            dollars(head["usage_usd"]),
            dollars(head["late_usd"]),
            dollars(head["due_usd"], places=2),
            head["status"],
        )
        table.add_row(*map(escape, cells))
    wide_console().print(table, highlight=False)


def show_invoice(invoice: Invoice, changes: Sequence[Mapping[str, Any]]) -> None:
    """One invoice as on its page, and its changes."""
    page, console = page_of(invoice), wide_console()
    console.print(f"{escape(page.title)}: {page.status}", highlight=False)
    for name, value in (*page.facts, ("Billed to", ", ".join(page.bill_to))):
        console.print(f"  {name}: {escape(value)}", highlight=False)
    console.print(_lines(page), highlight=False)
    for name, amount in page.totals:
        console.print(f"  {name}: {amount}", highlight=False)
    console.print(f"{page.due_label}: {page.due}", highlight=False)
    for note in page.notes:
        console.print(note, highlight=False)
    for change in changes:
        note = f": {change['note']}" if change["note"] else ""
        console.print(
            escape(f"{change['at']:%Y-%m-%d %H:%M} {change['status']} by {change['by']}{note}"), highlight=False
        )


def exported(invoice: Invoice, form: str, seller: str) -> bytes:
    """The file's content. Raises Misconfigured where a library for it is missing."""
    if form == "pdf":
        from taximeter_consumers.billing.render_pdf import invoice_pdf

        return invoice_pdf(invoice, seller)
    if form == "html":
        from taximeter_consumers.billing.render_html import invoice_html

        return invoice_html(invoice, seller).encode()
    if form == "csv":
        from taximeter_consumers.billing.render_csv import invoice_csv

        return invoice_csv([invoice]).encode()
    return (json.dumps(invoice_object(invoice), indent=2, ensure_ascii=False) + "\n").encode()


def _lines(page: Page) -> Table:
    table = _table(("description", "quantity", "price", "amount"), left=1)
    for section in page.sections:
        table.add_row(escape(section.title), "", "", "", style="bold")
        for row in section.rows:
            table.add_row(*map(escape, (f"  {row.what}", row.quantity, row.price, row.amount)))
    return table


def _table(headings: Sequence[str], left: int) -> Table:
    """A table whose first `left` columns are words, and the others numbers."""
    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place < left else "right", overflow="fold")
    return table


def _told(invoice: Invoice) -> str:
    draft = invoice.draft
    return f"{invoice.invoice_id} {draft.account_id} {draft.period.label}: {dollars(invoice.due_usd, places=2)}"


def _head(invoice: Invoice) -> dict[str, Any]:
    return {
        "invoice_id": invoice.invoice_id,
        "account_id": invoice.draft.account_id,
        "period": invoice.draft.period.label,
        "due_usd": plain(invoice.due_usd),
        "status": invoice.status,
    }


def _plainly(value: Any) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no JSON form for {type(value).__name__}")
