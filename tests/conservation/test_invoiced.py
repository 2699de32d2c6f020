"""Invoices held against charges: they agree, what is due on the next one is told, what was taken out is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.conservation.storage import START, Storage

from taximeter_consumers.billing import InvoiceRun, read_settings
from taximeter_consumers.billing.due import due_in
from taximeter_consumers.conservation import MoneyAudit, MoneyReport, MoneyScope, amount
from taximeter_consumers.conservation.invoiced import PAIR, billed_periods
from taximeter_consumers.conservation.table import MOST_HOURS, Table
from taximeter_consumers.pricing.book import append_rates
from taximeter_consumers.pricing.rate import Rate
from taximeter_consumers.reprice import Order, rerate

LABEL = "2026-11"


def audit(storage: Storage, scope: MoneyScope | None = None) -> MoneyReport:
    """What it finds."""
    return MoneyAudit(storage.clickhouse, scope or MoneyScope()).run()


def invoice(storage: Storage, label: str = LABEL) -> None:
    """Issues the invoices of a period, closed or not."""
    settings = read_settings(storage.clickhouse)
    run = InvoiceRun(storage.clickhouse, settings, datetime.now(UTC))
    assert run.issue(due_in(storage.clickhouse, settings, label)).issued


def invoiced(storage: Storage) -> Storage:
    """Two accounts with an invoice each, one of them with calls of the platform's own and one without a price."""
    storage.store([storage.event(), storage.event(context="system"), storage.event(provider="house", model="llm-1")])
    storage.store([storage.event(account_id="beta")])
    storage.roll_up()
    invoice(storage)
    return storage


def test_invoices_are_what_was_charged(storage: Storage) -> None:
    """The platform's own use is charged and not billed."""
    report = audit(invoiced(storage))
    assert report.holds, (report.gaps, report.findings)
    assert report.pairs[PAIR].places == 2
    assert amount("cost_usd", report.pairs[PAIR].right["cost_usd"]) == Decimal("2.52")
    assert amount("cost_usd", report.table.totals["charges"]["cost_usd"]) == Decimal("3.78")


def test_late_events_are_due_on_the_next_invoice(storage: Storage) -> None:
    """They are no gap: the amount, the account and the period are told."""
    invoiced(storage)
    storage.store([storage.event(), storage.event(context="system")])
    storage.roll_up()
    report = audit(storage)
    assert report.holds, (report.gaps, report.findings)
    (due,) = report.due
    assert (due.account_id, due.period, amount("cost_usd", due.amount)) == ("acme", LABEL, Decimal("1.26"))
    invoice(storage, "2026-12")
    report = audit(storage)
    assert (report.holds, report.due) == (True, [])


def test_prices_that_came_after_the_invoice_are_due(storage: Storage) -> None:
    """A call that had no price is billed with the next invoice, by its price."""
    invoiced(storage)
    rates = [
        Rate("house", "llm-1", unit, Decimal("0.001"), source="test") for unit in ("input_tokens", "output_tokens")
    ]
    append_rates(storage.clickhouse, rates)
    storage.roll_up()
    report = audit(storage)
    assert report.holds, (report.gaps, report.findings)
    assert [(due.period, due.reason) for due in report.due] == [(LABEL, "prices that were added since")]


def test_a_rerating_after_the_invoice_is_due(storage: Storage) -> None:
    """Its adjustments are on the next invoice; the invoice that was issued stays as it is."""
    invoiced(storage)
    append_rates(
        storage.clickhouse,
        [Rate("openai", "gpt-4o", "output_tokens", Decimal("0.00002"), known_from=datetime.now(UTC))],
    )
    storage.roll_up()
    assert audit(storage).due == []
    rerate(storage.clickhouse, Order(START, START + timedelta(days=1), "acme", "ada", "typo"))
    report = audit(storage)
    assert report.holds, (report.gaps, report.findings)
    assert [(due.account_id, amount("cost_usd", due.amount)) for due in report.due] == [("acme", Decimal("0.01"))]


def test_a_changed_invoice_is_found(storage: Storage) -> None:
    """Lines that were taken out are a gap of their period, and the invoice no longer says what it said."""
    invoiced(storage)
    storage.mutate("stored_invoices", "UPDATE lines = [] WHERE account_id = 'beta'")
    report = audit(storage)
    assert not report.holds
    (gap,) = report.gaps
    assert (gap.pair, gap.place.account_id, str(gap.place)) == (PAIR, "beta", f"period {LABEL}")
    assert amount("cost_usd", gap.difference) == Decimal("-1.26")
    assert {finding.kind for finding in report.findings} == {"invoice_changed"}


def test_a_deleted_invoice_is_missed(storage: Storage) -> None:
    """Its number is claimed, and nothing stands under it; a claim that was deleted leaves a hole."""
    invoiced(storage)
    storage.mutate("stored_invoices", "DELETE WHERE number = 1")
    assert {finding.kind for finding in audit(storage).findings} == {"invoice_missing"}
    storage.mutate("stored_invoice_numbers", "DELETE WHERE number = 1")
    assert {finding.kind for finding in audit(storage).findings} == {"invoice_number"}


def test_charges_deleted_after_the_invoice_are_found(storage: Storage) -> None:
    """Both neighbours of the charges say so."""
    invoiced(storage)
    storage.mutate("stored_charges", "DELETE WHERE account_id = 'beta'")
    assert {gap.pair for gap in audit(storage).gaps} == {PAIR, "charged = charges"}


def test_periods_outside_the_hours_are_left_out() -> None:
    """A period counts where it has a part in the scope; of two invoices for it the bounds are one."""
    begin, end = int(START.timestamp()), int((START + timedelta(days=30)).timestamp())
    rows = [("a", LABEL, begin, end, 5), ("a", LABEL, begin, end, 7)]
    (period,) = billed_periods(rows, {("a", LABEL)}, MoneyScope(until=START + timedelta(hours=1)))
    assert (period.last_issued, period.has_unpriced) == (7, True)
    assert not billed_periods(rows, (), MoneyScope(until=START))
    assert not billed_periods(rows, (), MoneyScope(since=START + timedelta(days=30)))


def test_the_table_widens_and_keeps_its_digest() -> None:
    """Hours become days where they are too many to look through; sums and digest stay those of the hours."""
    tables = []
    for hours in (MOST_HOURS, MOST_HOURS + 1):
        table = Table()
        for hour in range(hours):
            values = {"events": 1, "cost_usd": hour}
            table.add("acme", START + timedelta(hours=hour), {"charged": values, "rows": values}, values)
        tables.append(table)
    assert [table.lines[0] for table in tables] == ["hour", "day"]
    assert sum(values["events"] for _, _, values in tables[1].lines[1]) == MOST_HOURS + 1
    assert tables[0].digest != tables[1].digest
    assert tables[0].totals["charged"]["cost_usd"] == sum(range(MOST_HOURS))
