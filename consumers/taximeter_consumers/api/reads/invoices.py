"""Invoices of one account, or of all: heads page by page, and one whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.api.reads.sql import account_is
from taximeter_consumers.billing.stored import find_invoice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taximeter_consumers.billing import Invoice
    from taximeter_consumers.clickhouse import ClickHouse

_HEADS: Final = """
SELECT number, invoice_id, account_id, period, revision, starts_at, ends_at, issued_at, usage_usd, late_usd, due_usd,
    system_usd, status, status_at
FROM invoices
WHERE {where} AND number < {before}
ORDER BY number DESC LIMIT {limit}
"""
LAST: Final = 2**63 - 1


def heads(
    clickhouse: ClickHouse, account: str, equals: Mapping[str, str], before: int, limit: int
) -> list[dict[str, Any]]:
    """Heads of invoices with a number below `before`, the last first; `equals` may name period and status."""
    where = " AND ".join([account_is(account), *(f"{name} = {{{name}:String}}" for name in equals)])
    sql = _HEADS.replace("{where}", where).replace("{before}", "{before:UInt64}").replace("{limit}", "{limit:UInt64}")
    return clickhouse.records(sql, {**equals, "account": account, "before": before, "limit": limit})


def invoice_of(clickhouse: ClickHouse, account: str, number: int) -> Invoice | None:
    """The invoice of a number, if it is the account's; None where it is not, or is not there."""
    found = find_invoice(clickhouse, number)
    return found if found is not None and account in ("", found.draft.account_id) else None
