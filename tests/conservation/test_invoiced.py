"""Invoices held against charges: they agree, what is due on the next one is told, what was taken out is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.conservation.storage import START, Storage

from taximeter_consumers.billing import Change, InvoiceRun, Status, change_status, read_settings
from taximeter_consumers.billing.due import due_in
from taximeter_consumers.billing.stored import find_invoice
from taximeter_consumers.conservation import MoneyAudit, MoneyReport, MoneyScope, amount
from taximeter_consumers.conservation.due import Cost, Since, since_cut
from taximeter_consumers.conservation.invoiced import PAIR, Head, billed_periods, read_billed
from taximeter_consumers.conservation.table import MOST_HOURS, Table
from taximeter_consumers.pricing.book import append_rates
from taximeter_consumers.pricing.rate import Rate
from taximeter_consumers.reprice import Order, rerate

LABEL = "2026-11"
HOUSE = [Rate("house", "llm-1", unit, Decimal("0.001"), source="test") for unit in ("input_tokens", "output_tokens")]


def audit(storage: Storage, scope: MoneyScope | None = None) -> MoneyReport:
    """What it finds."""
    return MoneyAudit(storage.clickhouse, scope or MoneyScope()).run()


def invoice(storage: Storage, label: str = LABEL, *, reissue: bool = False) -> None:
    """Issues the invoices of a period, closed or not."""
    settings = read_settings(storage.clickhouse)
    run = InvoiceRun(storage.clickhouse, settings, datetime.now(UTC), reissue=reissue)
    assert run.issue(due_in(storage.clickhouse, settings, label).due).issued


def invoiced(storage: Storage) -> Storage:
    """Two accounts with an invoice each, one of them with calls of the platform's own and one without a price."""
    storage.fill(used_by_two)
    invoice(storage)
    return storage


def used_by_two(storage: Storage) -> None:
    """What is invoiced."""
    storage.store([storage.event(), storage.event(context="system"), storage.event(provider="house", model="llm-1")])
    storage.store([storage.event(account_id="beta")])
    storage.roll_up()


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
    append_rates(storage.clickhouse, HOUSE)
    storage.roll_up()
    report = audit(storage)
    assert report.holds, (report.gaps, report.findings)
    assert [(due.period, due.reason) for due in report.due] == [(LABEL, "prices that were added since")]


def test_prices_that_were_known_but_not_worked_in_are_due(storage: Storage) -> None:
    """They are in the book when the invoice is made, and in the charges only by the tick after it."""
    storage.store([storage.event(provider="house", model="llm-1")])
    storage.roll_up()
    append_rates(storage.clickhouse, HOUSE)
    invoice(storage)
    storage.roll_up()
    report = audit(storage)
    assert report.holds, (report.gaps, report.findings)
    assert [due.reason for due in report.due] == ["prices that were added since"]


def test_new_prices_hide_no_gap(storage: Storage) -> None:
    """Where calls have got a price since, a difference is due only if it is what they cost."""
    invoiced(storage)
    append_rates(storage.clickhouse, HOUSE)
    storage.roll_up()
    storage.mutate("stored_charges", "UPDATE cost_usd = cost_usd + 1 WHERE provider = 'openai' AND account_id = 'acme'")
    report = audit(storage)
    assert {gap.pair for gap in report.gaps} == {PAIR, "charged = charges"}
    assert report.due == []


def test_late_events_stay_due_when_an_older_period_is_invoiced(storage: Storage) -> None:
    """That invoice does not account for the newer period, and the months in between are due as a whole."""
    invoiced(storage)
    storage.store([storage.event()])
    for month in (8, 9):
        storage.store([storage.event(run_id=f"r{month}", occurred_at=datetime(2026, month, 5, 12, tzinfo=UTC))])
    storage.roll_up()
    invoice(storage, "2026-08")
    report = audit(storage)
    assert report.holds, (report.gaps, report.findings)
    assert [(due.period, amount("cost_usd", due.amount)) for due in report.due] == [
        ("2026-09", Decimal("1.26")),
        (LABEL, Decimal("1.26")),
    ]
    invoice(storage, "2026-12")
    report = audit(storage)
    assert (report.holds, report.due, report.pairs[PAIR].places) == (True, [], 5)


def test_what_void_invoices_had_billed_is_due(storage: Storage) -> None:
    """Also what one of them had as late lines; and issued anew, all closes."""
    invoiced(storage)
    for label, month in (("2026-12", 12), ("2027-01", 1)):
        year = 2026 if month == 12 else 2027
        storage.store([storage.event(), storage.event(occurred_at=datetime(year, month, 5, tzinfo=UTC))])
        storage.roll_up()
        invoice(storage, label)
    void = find_invoice(storage.clickhouse, 3)
    assert void is not None
    change_status(storage.clickhouse, void, Change(Status.VOID, datetime.now(UTC), "ada"))
    report = audit(storage)
    assert report.holds, (report.gaps, report.findings)
    assert [(due.period, amount("cost_usd", due.amount), due.reason) for due in report.due] == [
        (LABEL, Decimal("1.26"), "invoices that are void"),
        ("2026-12", Decimal("1.26"), "invoices that are void"),
    ]
    invoice(storage, "2026-12", reissue=True)
    report = audit(storage)
    assert (report.holds, report.due) == (True, [])


def test_a_period_without_an_invoice_of_its_own_is_compared(storage: Storage) -> None:
    """What came for it late is on the next invoice, and what is changed there is found."""
    invoiced(storage)
    invoice_of_new_use(storage, "2027-01", datetime(2027, 1, 5, tzinfo=UTC))
    storage.store([storage.event(run_id="r2", occurred_at=datetime(2026, 12, 5, tzinfo=UTC))])
    storage.roll_up()
    invoice_of_new_use(storage, "2027-02", datetime(2027, 2, 5, tzinfo=UTC))
    assert audit(storage).holds
    storage.mutate("stored_charges", "UPDATE cost_usd = cost_usd + 1 WHERE toMonth(quarter) = 12 AND cost_usd > 1")
    gaps = [gap for gap in audit(storage).gaps if gap.pair == PAIR]
    assert [(str(gap.place), amount("cost_usd", gap.difference)) for gap in gaps] == [("period 2026-12", Decimal(-1))]


def invoice_of_new_use(storage: Storage, label: str, at: datetime) -> None:
    """A call, and the invoice of its period."""
    storage.store([storage.event(run_id=label, occurred_at=at)])
    storage.roll_up()
    invoice(storage, label)


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


def test_use_that_no_run_will_bill_is_noted(storage: Storage) -> None:
    """It came before its account's first invoice, or the account has none, where others were invoiced: with the mend,
    and without harm to the outcome. Nothing of open periods, of the platform's own, or of before all invoices."""
    early, august, september = (datetime(2026, month, 5, tzinfo=UTC) for month in (7, 8, 9))
    invoice_of_new_use(storage, "2026-08", august)
    storage.store([storage.event(account_id="beta", run_id="b", occurred_at=september)])
    storage.roll_up()
    invoice(storage, "2026-09")
    assert audit(storage).findings == []
    uses = [
        ("acme", early),
        ("beta", august),
        ("c d", august),
        ("c d", september),
        ("c d", datetime(2099, 1, 1, tzinfo=UTC)),
    ]
    storage.store([storage.event(account_id=name, run_id=f"{name} {at}", occurred_at=at) for name, at in uses])
    storage.store([storage.event(account_id="own", run_id="own", occurred_at=august, context="system")])
    storage.roll_up()
    report = audit(storage)
    assert report.holds, (report.gaps, report.findings)
    assert [(one.severity, one.kind) for one in report.findings] == [("note", "not_billed")] * 3
    told = [one.text.partition(" is on no invoice")[0] for one in report.findings]
    assert told == [
        "account beta, period 2026-08: 1.26",
        "account c d, period 2026-08: 1.26",
        "account c d, period 2026-09: 1.26",
    ]
    assert report.findings[2].text.endswith("`taximeter invoice run --period 2026-09 --account 'c d'`")
    assert len(audit(storage, MoneyScope(until=august - timedelta(days=9))).findings) == 0
    invoice(storage, "2026-08")
    report = audit(storage)
    assert (report.holds, report.findings) == (True, [])


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
    assert {finding.kind for finding in audit(storage).findings} - {"not_billed"} == {"invoice_number"}


def test_charges_deleted_after_the_invoice_are_found(storage: Storage) -> None:
    """Both neighbours of the charges say so."""
    invoiced(storage)
    storage.mutate("stored_charges", "DELETE WHERE account_id = 'beta'")
    assert {gap.pair for gap in audit(storage).gaps} == {PAIR, "charged = charges"}


def test_periods_outside_the_hours_are_left_out(storage: Storage) -> None:
    """A period counts where it has a part in the scope."""
    invoiced(storage)
    bounds = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    scopes = [MoneyScope(until=START), MoneyScope(until=bounds[0]), MoneyScope(since=bounds[1])]
    assert [len(read_billed(storage.clickhouse, scope, ["acme"]).periods) for scope in scopes] == [1, 0, 0]


def test_of_two_invoices_for_a_period_the_last_accounts_for_it() -> None:
    """The bounds are one; what the void one had billed by then is no more due."""
    heads = [Head(4, "a", LABEL, 0, 9, 5, 5, void_at=6), Head(7, "a", LABEL, 0, 9, 8, 9)]
    (period,) = billed_periods(heads, {(4, "a", LABEL): 1, (0, "a", LABEL): 1})
    assert (period.issued, period.stored, period.voided) == (8, 9, 0)
    assert not list(billed_periods(heads[:1], {}))


def test_a_tick_that_the_invoice_may_have_missed_is_tried() -> None:
    """Costs count as late after the cut; other prices, for the rest alone; rollups made anew go by the ledger."""
    now, then = [Cost(0, False, 10), Cost(5, True, 3)], [Cost(0, False, 8), Cost(5, True, 2)]
    assert since_cut(now, then, 4) == [Since(3, 2), Since(3, 2)]
    assert since_cut(now, then, 5) == [Since(0, 3), Since(3, 2)]


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
