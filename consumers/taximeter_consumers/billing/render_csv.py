"""Lines of an invoice as CSV, every number exact. Pure."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from taximeter_consumers.billing.invoice import line_object

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from taximeter_consumers.billing.invoice import Invoice

_HEAD: Final = ("invoice_id", "account_id", "invoice_period", "line_number")
# What a spreadsheet would take for a formula when it opens the file.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_TEXTS: Final = ("account_id", "workflow_id", "provider", "model", "unit", "service_tier", "reference", "text")


def invoice_csv(invoices: Iterable[Invoice]) -> str:
    """One row for each line of each invoice, with a heading."""
    out = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for invoice in invoices:
        for row in _rows(invoice):
            if writer is None:
                writer = csv.DictWriter(out, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow({name: _harmless(name, value) for name, value in row.items()})
    return out.getvalue()


def _rows(invoice: Invoice) -> Iterable[dict[str, Any]]:
    for place, line in enumerate(invoice.draft.lines, 1):
        head = (invoice.invoice_id, invoice.draft.account_id, invoice.draft.period.label, place)
        yield {**dict(zip(_HEAD, head, strict=True)), **line_object(line)}


def _harmless(name: str, value: Any) -> Any:
    """Names come from events, which anybody may send: none of them may become a formula."""
    return f"'{value}" if name in _TEXTS and str(value).startswith(_FORMULA) else value
