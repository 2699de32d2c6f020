"""Whether the invoices are whole: their numbers follow each other, and each says what it said when it was issued."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from taximeter_consumers.audit.balance import Finding, Severity
from taximeter_consumers.billing.stored import invoices_of

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

# So many numbers are named.
_NAMED: Final = 20
_NUMBERS: Final = """
SELECT
    claimed.number, claimed.account_id, claimed.period, issued.number != 0
FROM (SELECT number, account_id, period FROM stored_invoice_numbers FINAL) AS claimed
LEFT JOIN (SELECT DISTINCT number FROM stored_invoices) AS issued ON issued.number = claimed.number
ORDER BY claimed.number
"""
_UNCLAIMED: Final = """
SELECT DISTINCT number FROM stored_invoices
WHERE number NOT IN (SELECT number FROM stored_invoice_numbers) ORDER BY number
"""
_ACCOUNTS: Final = "SELECT DISTINCT account_id FROM stored_invoices WHERE account_id IN {accounts:Array(String)}"


def of_numbers(clickhouse: ClickHouse) -> list[Finding]:
    """What is wrong with the numbers of all invoices. Raises Retryable."""
    claimed = clickhouse.rows(_NUMBERS)
    numbers = [int(row[0]) for row in claimed]
    missing = _missing(numbers)
    found = []
    if missing:
        text = f"the numbers {_some(missing)} of invoices are missing: rows of stored_invoice_numbers were deleted"
        found.append(Finding(Severity.BROKEN, "invoice_number", text, len(missing)))
    for number, account, period, is_issued in claimed:
        if not is_issued:
            text = (
                f"invoice number {number} of account {account or '(none)'}, period {period}, has no invoice: a run"
                " broke off, then `taximeter invoice run` issues it, or it was deleted"
            )
            found.append(Finding(Severity.BROKEN, "invoice_missing", text, 1))
    unclaimed = [int(row[0]) for row in clickhouse.rows(_UNCLAIMED)]
    if unclaimed:
        text = f"the invoices {_some(unclaimed)} have numbers that nobody claimed"
        found.append(Finding(Severity.BROKEN, "invoice_unclaimed", text, len(unclaimed)))
    return found


def of_content(clickhouse: ClickHouse, accounts: Sequence[str]) -> list[Finding]:
    """The invoices of some accounts whose content is not what their digest was made of. Raises Retryable."""
    found = []
    for (account,) in clickhouse.rows(_ACCOUNTS, {"accounts": list(accounts)}):
        for invoice in invoices_of(clickhouse, account):
            if not invoice.is_intact:
                text = f"{invoice.invoice_id} of account {account or '(none)'} does not say what it said when issued"
                found.append(Finding(Severity.BROKEN, "invoice_changed", text, 1))
    return found


def _missing(numbers: Sequence[int]) -> list[int]:
    """The numbers from 1 to the highest that are not there."""
    there = set(numbers)
    return [number for number in range(1, max(there, default=0) + 1) if number not in there]


def _some(numbers: Sequence[int]) -> str:
    named = ", ".join(map(str, numbers[:_NAMED]))
    return named if len(numbers) <= _NAMED else f"{named}, ... ({len(numbers):,} in all)"
