"""`GET /v1/invoices` and `GET /v1/invoices/{number}`: as JSON, as a page, as PDF."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import StringConstraints

from taximeter_consumers.api.accepted import accepted
from taximeter_consumers.api.access import Biller, Using
from taximeter_consumers.api.cursor import cursor_of, place_of
from taximeter_consumers.api.models.invoices import (
    InvoiceAnswer,
    InvoiceForm,
    InvoiceHead,
    InvoiceQuery,
    InvoicesPage,
    InvoicesQuery,
)
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.problems import Problem, not_found
from taximeter_consumers.api.reads.invoices import LAST, heads, invoice_of
from taximeter_consumers.billing import Invoice
from taximeter_consumers.billing.invoice import invoice_object
from taximeter_consumers.billing.render_html import invoice_html
from taximeter_consumers.billing.render_pdf import invoice_pdf
from taximeter_consumers.billing.status import history
from taximeter_schemas.errors import Misconfigured

router = APIRouter(prefix="/v1", tags=["billing"])
_MEDIA: Final = {
    "application/json": InvoiceForm.JSON,
    "text/html": InvoiceForm.HTML,
    "application/pdf": InvoiceForm.PDF,
}
# Of the invoice's own style, and of nothing that runs.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
InvoiceName = Annotated[str, StringConstraints(pattern=r"^(INV-)?[0-9]{1,15}$")]


@router.get("/invoices", operation_id="listInvoices", summary="Invoices", responses=refusals("not-found"))
def list_invoices(chosen: Annotated[InvoicesQuery, Query()], caller: Biller, services: Using) -> InvoicesPage:
    """Invoices without their lines, the last one first."""
    account = caller.account(chosen.account_id)
    equals = {name: str(value) for name in ("period", "status") if (value := getattr(chosen, name)) is not None}
    question = {**equals, "account": account}
    (before,) = place_of(chosen.cursor, question, (int,)) if chosen.cursor else (LAST,)
    if not 0 <= before <= LAST:
        raise Problem("invalid", "this cursor is of another question: ask again without a cursor")
    rows = heads(services.reads.get(), account, equals, before, chosen.limit + 1)
    page = [InvoiceHead.model_validate(row) for row in rows[: chosen.limit]]
    more = len(rows) > chosen.limit
    return InvoicesPage(invoices=page, next_cursor=cursor_of((page[-1].number,), question) if more else None)


@router.get(
    "/invoices/{number}",
    operation_id="readInvoice",
    summary="One invoice",
    response_model=InvoiceAnswer,
    responses={
        **refusals("not-found", "not-acceptable"),
        200: {
            "description": "The invoice",
            "content": {
                "text/html": {"schema": {"type": "string"}},
                "application/pdf": {"schema": {"type": "string", "format": "binary"}},
            },
        },
    },
)
def read_invoice(
    number: Annotated[InvoiceName, Path(description="INV-000042, or 42", examples=["INV-000042"])],
    chosen: Annotated[InvoiceQuery, Query()],
    caller: Biller,
    services: Using,
    accept: Annotated[str | None, Header(max_length=2_000, description="JSON, HTML or PDF")] = None,
) -> InvoiceAnswer | Response:
    """The invoice with its lines and what became of it; as JSON, as a page to print, or as PDF."""
    form = chosen.format or accepted(accept, _MEDIA)
    if form is None:
        raise Problem("not-acceptable", f"accept one of {', '.join(_MEDIA)}, or give format=json, html or pdf")
    clickhouse = services.reads.get()
    found = invoice_of(clickhouse, caller.account(None), int(number.removeprefix("INV-")))
    if found is None:
        raise not_found("invoice")
    if form is InvoiceForm.JSON:
        changes = history(clickhouse, found.number)
        return InvoiceAnswer.model_validate({**invoice_object(found), "is_intact": found.is_intact, "history": changes})
    return _page(found, form, services.settings.invoice_seller.replace("\\n", "\n"))


def _page(invoice: Invoice, form: InvoiceForm, seller: str) -> Response:
    name = f'inline; filename="{invoice.invoice_id}.{form.value}"'
    try:
        if form is InvoiceForm.HTML:
            page = invoice_html(invoice, seller)
            return Response(
                page, media_type="text/html", headers={"Content-Security-Policy": _POLICY, "Content-Disposition": name}
            )
        return Response(
            invoice_pdf(invoice, seller), media_type="application/pdf", headers={"Content-Disposition": name}
        )
    except Misconfigured as error:
        raise Problem("not-acceptable", f"ask for another form: {error.problem}; the operator can mend it") from None
