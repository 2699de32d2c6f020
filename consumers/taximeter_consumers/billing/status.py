"""What becomes of an invoice: pending, paid, failed or void. Every change is a row; the last one counts.

Changes are numbered like invoices: of two at the same time the first counts, and the other one is judged anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.billing.amounts import ZERO
from taximeter_consumers.billing.invoice import Invoice, plainly
from taximeter_consumers.billing.lines import Kind
from taximeter_consumers.billing.stored import find_invoice, invoices_of
from taximeter_consumers.clickhouse.claims import first_row
from taximeter_schemas.errors import Denied, Retryable

if TYPE_CHECKING:
    from datetime import datetime

    from taximeter_consumers.clickhouse import ClickHouse


class Status(StrEnum):
    """Where an invoice stands."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    VOID = "void"


_ALLOWED: Final = {
    Status.PENDING: {Status.PAID, Status.FAILED, Status.VOID},
    Status.FAILED: {Status.PAID, Status.PENDING, Status.VOID},
    # Money has moved: a correction is a credit. What is void is billed again elsewhere.
    Status.PAID: set(),
    Status.VOID: set(),
}

_LAST: Final = "SELECT max(step), argMax(status, step) FROM invoice_statuses WHERE number = {number:UInt64}"
_STEP: Final = """
SELECT status, at, by, note FROM invoice_statuses WHERE number = {number:UInt64} AND step = {step:UInt32}
"""
_HISTORY: Final = """
SELECT step, status, at, by, note FROM invoice_statuses WHERE number = {number:UInt64} ORDER BY step
"""


@dataclass(frozen=True)
class Change:
    """A new status, from when on, by whom and why."""

    status: Status
    at: datetime
    by: str
    note: str = ""


def may_become(old: Status, new: Status) -> bool:
    """Whether an invoice may go from one status to the other."""
    return new in _ALLOWED[old]


def change_status(clickhouse: ClickHouse, invoice: Invoice, change: Change) -> Invoice:
    """Appends the change, and returns the invoice as it is then. Doing the same again changes nothing.

    Raises Denied where the invoice may not become that, and Retryable.
    """
    while True:
        step, name = clickhouse.rows(_LAST, {"number": invoice.number})[0]
        old = Status(name) if step else Status.PENDING
        if old is change.status and step:
            return _again(clickhouse, invoice.number)
        _check(clickhouse, invoice, old, change.status)
        row = {
            "number": invoice.number,
            "step": step + 1,
            "status": change.status.value,
            "at": plainly(change.at),
            "by": change.by,
            "note": change.note,
        }
        place = {"number": invoice.number, "step": step + 1}

        def read(place: dict[str, int] = place) -> dict[str, Any] | None:
            return next(iter(clickhouse.records(_STEP, place)), None)

        token = f"invoice-status-{invoice.number}-{step + 1}"
        found = first_row(clickhouse, "stored_invoice_statuses", token, row, read)
        if found["status"] == change.status.value:
            return _again(clickhouse, invoice.number)


def history(clickhouse: ClickHouse, number: int) -> list[dict[str, Any]]:
    """All changes of an invoice, in order."""
    return clickhouse.records(_HISTORY, {"number": number})


def _check(clickhouse: ClickHouse, invoice: Invoice, old: Status, new: Status) -> None:
    if not may_become(old, new):
        allowed = ", ".join(sorted(_ALLOWED[old])) or "nothing else; grant a credit instead"
        raise Denied(f"{invoice.invoice_id} is {old.value} and cannot become {new.value}; it can become {allowed}")
    if new in (Status.PAID, Status.VOID) and invoice.due_usd < ZERO:
        later = next((other for other in _standing(clickhouse, invoice) if _carries(other, invoice)), None)
        if later is not None:
            raise Denied(f"the sum of {invoice.invoice_id} was carried to {later.invoice_id}")


def _standing(clickhouse: ClickHouse, invoice: Invoice) -> list[Invoice]:
    return [other for other in invoices_of(clickhouse, invoice.draft.account_id) if other.status != Status.VOID]


def _carries(other: Invoice, invoice: Invoice) -> bool:
    return any(line.kind is Kind.CARRIED and line.reference == invoice.invoice_id for line in other.draft.lines)


def _again(clickhouse: ClickHouse, number: int) -> Invoice:
    found = find_invoice(clickhouse, number)
    if found is None:
        raise Retryable(f"invoice {number} cannot be read")
    return found
