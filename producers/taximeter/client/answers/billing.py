"""Invoices."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from taximeter.client.answers.wire import Answered, Usd


class InvoiceHead(Answered):
    """An invoice without its lines. `ends_at` is exclusive; `system_usd` is not billed."""

    number: int
    invoice_id: str
    account_id: str
    period: str
    revision: int
    starts_at: datetime
    ends_at: datetime
    issued_at: datetime
    usage_usd: Usd
    late_usd: Usd
    due_usd: Usd
    system_usd: Usd
    status: str
    status_at: datetime


class InvoicesPage(Answered):
    """The last one first."""

    invoices: tuple[InvoiceHead, ...]
    next_cursor: str | None


class InvoiceTotals(Answered):
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


class InvoiceLine(Answered):
    """One line."""

    kind: str
    period: str
    workflow_id: str
    provider: str
    model: str
    unit: str
    service_tier: str
    source: str
    usd_per_unit: Usd
    events: int
    quantity: Decimal
    amount_usd: Usd
    reference: str
    text: str


class StatusChange(Answered):
    """One change of an invoice's status."""

    step: int
    status: str
    at: datetime
    by: str
    note: str


class Invoice(Answered):
    """An invoice with its lines. `is_intact`: it still says what was issued, by its digest."""

    number: int
    invoice_id: str
    account_id: str
    period: str
    revision: int
    starts_at: datetime
    ends_at: datetime
    issued_at: datetime
    totals: InvoiceTotals
    system_usd: Usd
    settings: dict[str, Any]
    lines: tuple[InvoiceLine, ...]
    digest: str
    is_intact: bool
    status: str
    status_at: datetime
    history: tuple[StatusChange, ...]
