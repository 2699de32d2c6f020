"""Invoices and exports."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Unpack

from taximeter.client.answers.billing import Invoice, InvoicesPage
from taximeter.client.call import Call, Reply, as_model, get

if TYPE_CHECKING:
    from taximeter.client.asked import ExportWords, InvoicesPageWords


def invoices_page(**words: Unpack[InvoicesPageWords]) -> Call[InvoicesPage]:
    """One page of invoices without their lines, the last one first."""
    return get("/v1/invoices", as_model(InvoicesPage), words)


def read_invoice(number: int | str) -> Call[Invoice]:
    """One invoice with its lines and what became of it; by its number, or like INV-000042."""
    return get("/v1/invoices/{number}", as_model(Invoice), {"format": "json"}, number=str(number))


def invoice_html(number: int | str) -> Call[str]:
    """The invoice as a page to print."""
    return get("/v1/invoices/{number}", _text, {"format": "html"}, number=str(number))


def invoice_pdf(number: int | str) -> Call[bytes]:
    """The invoice as PDF."""
    return get("/v1/invoices/{number}", _bytes, {"format": "pdf"}, number=str(number))


def export(dataset: Literal["usage", "rollups", "invoices"], **words: Unpack[ExportWords]) -> Call[None]:
    """A file of usage, rollups or invoices."""
    return replace(get("/v1/export", _nothing, {"dataset": dataset, **words}), headers={"Accept": "*/*"})


def _text(reply: Reply) -> str:
    return reply.body.decode()


def _bytes(reply: Reply) -> bytes:
    return reply.body


def _nothing(_: Reply) -> None:
    return None
