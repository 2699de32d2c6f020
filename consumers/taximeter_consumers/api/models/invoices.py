"""Invoices as JSON. The digest is over the snake_case form that `taximeter invoice export` writes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from taximeter_consumers.api.inputs import Cursor, Month, Name
from taximeter_consumers.api.models.wire import Amount, Asked, Instant, Usd, Wire
from taximeter_consumers.billing.status import Status


class InvoiceForm(StrEnum):
    """What an invoice may be asked as."""

    JSON = "json"
    HTML = "html"
    PDF = "pdf"


class InvoicesQuery(Asked):
    """Which invoices."""

    account_id: Name | None = None
    period: Month | None = Field(None, description="The month in which the billing period begins")
    status: Status | None = None
    cursor: Cursor | None = None
    limit: int = Field(50, ge=1, le=500)


class InvoiceQuery(Asked):
    """As what the invoice is sent."""

    format: InvoiceForm | None = Field(None, description="Wins over the Accept header")


class InvoiceHead(Wire):
    """An invoice without its lines."""

    number: int
    invoice_id: str
    account_id: str
    period: str
    revision: int = Field(description="One more for each time that a void invoice of the period was issued anew")
    starts_at: Instant
    ends_at: Instant = Field(description="Exclusive")
    issued_at: Instant
    usage_usd: Usd
    late_usd: Usd
    due_usd: Usd
    system_usd: Usd = Field(description="What the platform used itself; not billed")
    status: Status
    status_at: Instant


class InvoicesPage(Wire):
    """The last one first."""

    invoices: list[InvoiceHead]
    next_cursor: str | None = Field(description="Null on the last page")


class InvoiceTotals(Wire):
    """The sums at the head of an invoice."""

    usage_usd: Usd
    late_usd: Usd
    plan_usd: Usd
    allowance_usd: Usd
    add_ons_usd: Usd
    carried_usd: Usd
    credits_usd: Usd
    rounding_usd: Usd
    due_usd: Usd


class InvoiceLine(Wire):
    """One line."""

    kind: str = Field(description="usage, late, plan, allowance, add_on, carried, credit or rounding")
    period: str
    workflow_id: str
    provider: str
    model: str
    unit: str
    service_tier: str
    source: str
    usd_per_unit: Usd
    events: int
    quantity: Amount
    amount_usd: Usd
    reference: str
    text: str


class StatusChange(Wire):
    """One change of an invoice's status."""

    step: int
    status: Status
    at: Instant
    by: str
    note: str


class InvoiceAnswer(Wire):
    """An invoice with its lines."""

    number: int
    invoice_id: str
    account_id: str
    period: str
    revision: int
    starts_at: Instant
    ends_at: Instant
    issued_at: Instant
    totals: InvoiceTotals
    system_usd: Usd
    settings: dict[str, Any] = Field(description="The terms and the plan that it was made by")
    lines: list[InvoiceLine]
    digest: str = Field(description="SHA-256 over what was issued, hexadecimal")
    is_intact: bool = Field(description="Whether it still says what was issued")
    status: Status
    status_at: Instant
    history: list[StatusChange]
