"""What may become of an invoice."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.billing.charges import Used, charge

from taximeter_consumers.billing import Change, Request, Status, change_status, close_periods
from taximeter_consumers.billing.status import history, may_become
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_schemas.errors import Denied

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize("old", Status)
def test_what_an_invoice_may_become(old: Status) -> None:
    """Paid and void are final: money has moved, or it is billed elsewhere."""
    allowed = {
        Status.PENDING: {"paid", "failed", "void"},
        Status.FAILED: {"paid", "pending", "void"},
        Status.PAID: set(),
        Status.VOID: set(),
    }
    assert {new.value for new in Status if may_become(old, new)} == allowed[old]


@pytest.mark.integration
def test_every_change_is_kept(clickhouse: ClickHouse) -> None:
    """With who and why; saying the same again adds nothing."""
    charge(clickhouse, Used())
    (made,) = close_periods(clickhouse, Request(), NOW).issued
    for status in (Status.FAILED, Status.PENDING, Status.PAID, Status.PAID):
        made = change_status(clickhouse, made, Change(status, NOW, "ada", f"now {status.value}"))
    assert made.status == "paid"
    assert [(row["step"], row["status"], row["note"]) for row in history(clickhouse, made.number)] == [
        (1, "failed", "now failed"),
        (2, "pending", "now pending"),
        (3, "paid", "now paid"),
    ]
    with pytest.raises(Denied, match="grant a credit"):
        change_status(clickhouse, made, Change(Status.VOID, NOW, "ada"))
