"""Invoices in ClickHouse: one row each. Of several attempts to issue one, the first content counts for good.

A run that dies before the row is there leaves a claimed number; one that dies after it has issued the invoice.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers import failpoints
from taximeter_consumers.billing.invoice import Draft, Invoice, digest_of, invoice_object, line_object, totals_of
from taximeter_consumers.billing.lines import Key, Kind, Line
from taximeter_consumers.billing.periods import Period
from taximeter_consumers.clickhouse.claims import first_row
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.money import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taximeter_consumers.clickhouse import ClickHouse

_COLUMNS: Final = (
    "number, account_id, period, revision, starts_at, ends_at, issued_at, system_usd, settings, lines, digest,"
    " status, status_at"
)
# The table is ordered by number: looked for by account alone, the lines of all invoices would be read.
_OF_ACCOUNT: Final = f"""
SELECT {_COLUMNS} FROM invoices
WHERE number IN (SELECT number FROM stored_invoices WHERE account_id = {{account:String}})
  AND account_id = {{account:String}}
ORDER BY number
"""  # noqa: S608  # columns of our own
_BY_NUMBER: Final = f"SELECT {_COLUMNS} FROM invoices WHERE number = {{number:UInt64}}"  # noqa: S608  # columns of our own
_ACCOUNTS: Final = "SELECT DISTINCT account_id FROM stored_invoices"
_LATEST: Final = "SELECT account_id, toString(max(period)) FROM stored_invoices GROUP BY account_id"
_OPEN: Final = """
SELECT number FROM stored_invoice_numbers FINAL
WHERE number NOT IN (SELECT number FROM stored_invoices) ORDER BY number
"""
_LIST: Final = """
SELECT number, invoice_id, account_id, period, revision, starts_at, ends_at, issued_at, usage_usd, late_usd, due_usd,
    system_usd, status, status_at
FROM invoices
WHERE ({account:String} = '' OR account_id = {account:String}) AND ({period:String} = '' OR period = {period:String})
  AND ({status:String} = '' OR status = {status:String})
ORDER BY number DESC LIMIT {limit:UInt64}
"""


def invoices_of(clickhouse: ClickHouse, account_id: str) -> list[Invoice]:
    """All invoices of an account, by number."""
    return [_invoice(row) for row in clickhouse.records(_OF_ACCOUNT, {"account": account_id})]


def find_invoice(clickhouse: ClickHouse, number: int) -> Invoice | None:
    """The invoice with a number, None where it is not issued."""
    rows = clickhouse.records(_BY_NUMBER, {"number": number})
    return _invoice(rows[0]) if rows else None


def invoice_named(clickhouse: ClickHouse, name: str) -> Invoice:
    """The invoice of an id like INV-000042, or of a bare number. Raises Misconfigured where there is none."""
    digits = name.strip().upper().removeprefix("INV-")
    found = (
        find_invoice(clickhouse, int(digits)) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None
    )
    if found is None:
        raise Misconfigured(f"there is no invoice {name}", mend="`taximeter invoice list` shows those that are there")
    return found


def invoiced_accounts(clickhouse: ClickHouse) -> set[str]:
    """The accounts that have an invoice."""
    return {row[0] for row in clickhouse.rows(_ACCOUNTS)}


def latest_labels(clickhouse: ClickHouse) -> dict[str, str]:
    """The last period of each account that was invoiced."""
    return dict(clickhouse.rows(_LATEST))


def open_numbers(clickhouse: ClickHouse) -> list[int]:
    """The numbers that are claimed and have no invoice yet, ascending."""
    return [row[0] for row in clickhouse.rows(_OPEN)]


def list_invoices(clickhouse: ClickHouse, chosen: Mapping[str, str], limit: int) -> list[dict[str, Any]]:
    """Heads of invoices, the last first; `chosen` may name account, period and status."""
    parameters = {name: chosen.get(name, "") for name in ("account", "period", "status")}
    rows = clickhouse.records(_LIST, {**parameters, "limit": limit})
    return [{name: _zoned(value) for name, value in row.items()} for row in rows]


def issue(clickhouse: ClickHouse, number: int, draft: Draft, issued_at: datetime) -> Invoice:
    """Stores the invoice under its claimed number, and returns what is stored: this, or what another run stored first.

    Raises Retryable; to call it again is safe."""
    made = Invoice(number, draft, issued_at, digest_of(number, draft, issued_at))
    failpoints.reached("invoice.before_issue")
    found = first_row(
        clickhouse, "stored_invoices", f"invoice-{number}", _row(made), lambda: find_invoice(clickhouse, number)
    )
    failpoints.reached("invoice.after_issue")
    return found


def _row(invoice: Invoice) -> dict[str, Any]:
    said = invoice_object(invoice)
    kept = (
        "number",
        "invoice_id",
        "account_id",
        "period",
        "revision",
        "starts_at",
        "ends_at",
        "issued_at",
        "system_usd",
    )
    return {
        **{name: said[name] for name in kept},
        **{name: plain(amount) for name, amount in totals_of(invoice.draft.lines).items()},
        "settings": invoice.draft.settings,
        "lines": [line_object(line) for line in invoice.draft.lines],
        "digest": invoice.digest,
    }


def _invoice(row: Mapping[str, Any]) -> Invoice:
    period = Period(_zoned(row["starts_at"]), _zoned(row["ends_at"]), row["period"])
    lines = [_line(line) for line in row["lines"]]
    draft = Draft(row["account_id"], period, lines, row["system_usd"], row["settings"], row["revision"])
    bare = Invoice(row["number"], draft, _zoned(row["issued_at"]), row["digest"])
    return replace(bare, status=row["status"], status_at=_zoned(row["status_at"]))


def _line(fields: Mapping[str, Any]) -> Line:
    kind = Kind(fields["kind"])
    names = ("workflow_id", "provider", "model", "unit", "service_tier", "source", "usd_per_unit")
    key = Key(*(fields[name] for name in names)) if kind in (Kind.USAGE, Kind.LATE) else None
    return Line(
        kind,
        fields["period"],
        fields["amount_usd"],
        key,
        fields["events"],
        fields["quantity"],
        fields["reference"],
        fields["text"],
    )


def _zoned(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def settings_of(invoice: Invoice) -> dict[str, Any]:
    """The terms and the plan that the invoice was made by."""
    found: dict[str, Any] = json.loads(invoice.draft.settings)
    return found
