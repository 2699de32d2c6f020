"""Invoice runs on a real ClickHouse: what is billed, and what a later run bills of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.billing.charges import Used, charge

from taximeter_consumers.billing import (
    AddOn,
    Change,
    Credit,
    Invoice,
    Plan,
    Request,
    RunReport,
    Status,
    Terms,
    append,
    change_status,
    close_periods,
    preview_periods,
)
from taximeter_consumers.billing.lines import Kind, Line
from taximeter_consumers.billing.stored import find_invoice, invoices_of
from taximeter_consumers.billing.terms import EPOCH
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing.cards import current_book
from taximeter_schemas.errors import Denied, Misconfigured

pytestmark = pytest.mark.integration

NOVEMBER = datetime(2026, 11, 3, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 3, tzinfo=UTC)
JANUARY = datetime(2027, 1, 3, tzinfo=UTC)
OF_NOVEMBER = datetime(2026, 11, 9, 12, tzinfo=UTC)


def close(clickhouse: ClickHouse, now: datetime = NOVEMBER, **request: str | bool) -> RunReport:
    """A run, and nobody refused."""
    report = close_periods(clickhouse, Request(**request), now)  # type: ignore[arg-type]  # each of its own type
    assert report.refused == []
    return report


def issued(clickhouse: ClickHouse, now: datetime = NOVEMBER, **request: str | bool) -> Invoice:
    """The one invoice of a run."""
    (made,) = close(clickhouse, now, **request).issued
    return made


def of_kind(invoice: Invoice, kind: Kind) -> list[Line]:
    """Its lines of a kind."""
    return [line for line in invoice.draft.lines if line.kind is kind]


def test_what_is_read_back_is_what_was_issued(clickhouse: ClickHouse) -> None:
    """To the last digit, with a digest that fits."""
    charge(clickhouse, Used(quantity=Decimal("1.000000001"), usd_per_unit=Decimal("123456789.123456789")))
    made = issued(clickhouse)
    assert made.is_intact
    assert made == find_invoice(clickhouse, 1)
    assert of_kind(made, Kind.USAGE)[0].amount_usd == Decimal("123456789.246913578123456789")
    assert made.due_usd == Decimal("123456789.25")


def test_running_twice_issues_once(clickhouse: ClickHouse) -> None:
    """The second run finds what the first one issued."""
    charge(clickhouse, Used(), Used(account_id="beta"))
    first, second = close(clickhouse), close(clickhouse)
    assert [invoice.number for invoice in first.issued] == [1, 2]
    assert second.issued == []
    assert second.existing == first.issued


def test_usage_of_one_key_is_one_line_and_other_accounts_and_months_are_not_on_it(clickhouse: ClickHouse) -> None:
    """Quarters of an hour are summed up; bounds are the period's."""
    first, last = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 31, 23, 45, tzinfo=UTC)
    outside = [Used(at=first - timedelta(minutes=15)), Used(at=last + timedelta(minutes=15)), Used(account_id="beta")]
    charge(clickhouse, Used(at=first), Used(at=last), *outside)
    made = issued(clickhouse, account="acme")
    assert [(line.events, line.quantity) for line in made.draft.lines if line.key] == [(2, 2000)]


def test_the_platforms_own_work_is_told_and_not_billed(clickhouse: ClickHouse) -> None:
    """Context system."""
    charge(clickhouse, Used(), Used(context="system", quantity=Decimal(4_000_000)))
    made = issued(clickhouse)
    assert made.draft.system_usd == 10
    assert [line.amount_usd for line in of_kind(made, Kind.USAGE)] == [Decimal("0.0025")]


def test_uses_without_a_price_stand_there_with_nothing(clickhouse: ClickHouse) -> None:
    """They are an invoice all the same: unknown is not zero."""
    charge(clickhouse, Used(source="unpriced", usd_per_unit=Decimal(0)))
    made = issued(clickhouse)
    (line,) = made.draft.lines
    assert (line.amount_usd, line.quantity, line.key and line.key.source) == (0, 1000, "unpriced")


def test_a_plan_and_its_add_ons_are_billed_without_usage(clickhouse: ClickHouse) -> None:
    """With the settings as they were when the period began."""
    append(clickhouse, Plan("pro", EPOCH, "Pro", Decimal(20), Decimal(5)))
    append(clickhouse, Plan("pro", datetime(2026, 10, 2, tzinfo=UTC), "Pro", Decimal(30)))
    append(clickhouse, Terms("acme", EPOCH, plan_id="pro"))
    append(clickhouse, AddOn("acme", "support", EPOCH, Decimal(9)))
    made = issued(clickhouse)
    assert [(line.kind, line.amount_usd) for line in made.draft.lines] == [(Kind.PLAN, 20), (Kind.ADD_ON, 9)]


def test_an_account_that_owes_nothing_gets_no_invoice(clickhouse: ClickHouse) -> None:
    """Not for a plan without a fee, nor for a credit."""
    append(clickhouse, Plan("free", EPOCH, "Free", Decimal(0), Decimal(5)))
    append(clickhouse, Terms("acme", EPOCH, plan_id="free"))
    append(clickhouse, Credit("c", "acme", Decimal(5), EPOCH))
    assert close(clickhouse).issued == []


def test_late_events_and_corrections_are_on_the_next_invoice(clickhouse: ClickHouse) -> None:
    """The issued one stays as it is; the differences name their period."""
    charge(clickhouse, Used(quantity=Decimal(1_000_000)), Used(model="old"))
    first = issued(clickhouse)
    charge(clickhouse, Used(quantity=Decimal(3_000_000), events=3), Used(model="new"))
    charge(clickhouse, Used(model="old", events=0, quantity=Decimal(0)))
    adjusted = Used(source="adjusted", unit="calls", usd_per_unit=Decimal(0), cost_usd=Decimal("-1.5"))
    charge(clickhouse, adjusted, Used(at=OF_NOVEMBER))
    second = issued(clickhouse, DECEMBER)
    late = {(line.key.model, line.key.source): line for line in of_kind(second, Kind.LATE) if line.key}
    assert {line.period for line in late.values()} == {"2026-10"}
    assert {name: line.amount_usd for name, line in late.items()} == {
        ("gpt-4.1", "priced"): Decimal(5),
        ("gpt-4.1", "adjusted"): Decimal("-1.5"),
        ("new", "priced"): Decimal("0.0025"),
        ("old", "priced"): Decimal("-0.0025"),
    }
    assert find_invoice(clickhouse, first.number) == first


def test_what_is_late_is_billed_once(clickhouse: ClickHouse) -> None:
    """The invoice after the next has nothing of it."""
    charge(clickhouse, Used())
    issued(clickhouse)
    charge(clickhouse, Used(model="late"))
    assert issued(clickhouse, DECEMBER).draft.lines[0].kind is Kind.LATE
    assert close(clickhouse, JANUARY).issued == []


def test_a_month_that_was_left_out_gets_its_own_invoice(clickhouse: ClickHouse) -> None:
    """A run after an outage closes all that is due, in order."""
    charge(clickhouse, Used())
    issued(clickhouse)
    charge(clickhouse, Used(at=OF_NOVEMBER), Used(at=datetime(2026, 12, 5, tzinfo=UTC)))
    assert [invoice.draft.period.label for invoice in close(clickhouse, JANUARY).issued] == ["2026-11", "2026-12"]


def test_an_earlier_month_invoiced_afterwards_bills_nothing_twice(clickhouse: ClickHouse) -> None:
    """What a later invoice had as late is not usage any more."""
    charge(clickhouse, Used(), Used(at=OF_NOVEMBER), Used(at=datetime(2026, 12, 5, tzinfo=UTC)))
    issued(clickhouse, JANUARY, period="2026-10")
    december = issued(clickhouse, JANUARY, period="2026-12")
    assert [line.period for line in of_kind(december, Kind.LATE)] == ["2026-11"]
    assert close(clickhouse, JANUARY, period="2026-11").issued == []


def test_a_negative_sum_is_carried_to_the_next_invoice(clickhouse: ClickHouse) -> None:
    """Once, and it can no longer be paid out."""
    charge(clickhouse, Used(quantity=Decimal(4_000_000)))
    issued(clickhouse)
    charge(clickhouse, Used(quantity=Decimal(0), events=0))
    negative = issued(clickhouse, DECEMBER)
    assert negative.due_usd == -10
    charge(clickhouse, Used(at=datetime(2026, 12, 5, tzinfo=UTC), quantity=Decimal(10_000_000)))
    last = issued(clickhouse, JANUARY)
    assert [(line.reference, line.amount_usd) for line in of_kind(last, Kind.CARRIED)] == [("INV-000002", -10)]
    assert last.due_usd == 15
    with pytest.raises(Denied, match="INV-000003"):
        change_status(clickhouse, negative, Change(Status.PAID, JANUARY, "ada"))


def test_a_credit_is_used_up_over_invoices(clickhouse: ClickHouse) -> None:
    """What one invoice used is gone for the next."""
    append(clickhouse, Credit("c", "acme", Decimal(12), EPOCH))
    charge(clickhouse, Used(quantity=Decimal(4_000_000)), Used(at=OF_NOVEMBER, quantity=Decimal(4_000_000)))
    assert [issued(clickhouse).due_usd, issued(clickhouse, DECEMBER).due_usd] == [0, 8]


def test_a_void_invoice_is_billed_on_the_next_one(clickhouse: ClickHouse) -> None:
    """As late lines; its credit is free again, its number stays."""
    append(clickhouse, Credit("c", "acme", Decimal(10), EPOCH))
    charge(clickhouse, Used(quantity=Decimal(4_000_000)))
    change_status(clickhouse, issued(clickhouse), Change(Status.VOID, NOVEMBER, "ada", "wrong"))
    assert close(clickhouse).issued == []
    second = issued(clickhouse, DECEMBER)
    assert (second.number, second.due_usd) == (2, 0)
    assert [(line.kind, line.amount_usd) for line in second.draft.lines] == [(Kind.LATE, 10), (Kind.CREDIT, -10)]


def test_a_void_invoice_is_issued_anew_when_asked(clickhouse: ClickHouse) -> None:
    """Under a new number, fee and all; once."""
    append(clickhouse, Plan("pro", EPOCH, "Pro", Decimal(20)))
    append(clickhouse, Terms("acme", EPOCH, plan_id="pro"))
    first = issued(clickhouse)
    change_status(clickhouse, first, Change(Status.VOID, NOVEMBER, "ada"))
    again = issued(clickhouse, period="2026-10", reissue=True)
    assert (again.number, again.draft.revision, again.draft.lines) == (2, 1, first.draft.lines)
    assert close(clickhouse, period="2026-10", reissue=True).issued == []


def on_a_plan(clickhouse: ClickHouse, fee: int = 20) -> None:
    """The account has a plan that includes 50 dollars, and used 40 of them."""
    append(clickhouse, Plan("pro", EPOCH, "Pro", Decimal(fee), Decimal(50)))
    append(clickhouse, Terms("acme", EPOCH, plan_id="pro"))
    charge(clickhouse, Used(quantity=Decimal(16_000_000)))


@pytest.mark.parametrize(("late", "due"), [("-20", "20"), ("5", "20"), ("15", "25")])
def test_what_is_late_is_covered_by_what_its_period_included(clickhouse: ClickHouse, late: str, due: str) -> None:
    """By the plan as it was then: with 10 dollars left of it; and what was included anyhow is not paid back."""
    on_a_plan(clickhouse)
    assert issued(clickhouse).due_usd == 20
    append(clickhouse, Plan("pro", datetime(2026, 10, 1, tzinfo=UTC), "Pro", Decimal(20)))
    charge(clickhouse, Used(source="adjusted", unit="calls", usd_per_unit=Decimal(0), cost_usd=Decimal(late)))
    second = issued(clickhouse, DECEMBER)
    assert second.due_usd == Decimal(due)
    assert [line.period for line in of_kind(second, Kind.ALLOWANCE)] == ["2026-10"]
    assert of_kind(issued(clickhouse, JANUARY), Kind.ALLOWANCE) == []


@pytest.mark.parametrize("fee", [20, 0])
def test_a_period_issued_anew_after_its_use_was_late_has_its_allowance(clickhouse: ClickHouse, fee: int) -> None:
    """The use stays where it is billed; fee and allowance come with the new invoice, also where there is no fee."""
    on_a_plan(clickhouse, fee)
    change_status(clickhouse, issued(clickhouse), Change(Status.VOID, NOVEMBER, "ada"))
    assert issued(clickhouse, DECEMBER).due_usd == 40 + fee
    again = issued(clickhouse, DECEMBER, period="2026-10", reissue=True)
    assert [(line.kind, line.amount_usd) for line in again.draft.lines] == [(Kind.PLAN, fee), (Kind.ALLOWANCE, -40)]
    assert [invoice.due_usd for invoice in close(clickhouse, JANUARY).issued] == ([0] if fee else [])


def test_a_period_that_is_not_closed_is_refused_with_the_time(clickhouse: ClickHouse) -> None:
    """End and grace of the account must have passed; a dry run shows it all the same."""
    charge(clickhouse, Used())
    append(clickhouse, Terms("acme", EPOCH, grace_hours=72))
    with pytest.raises(Misconfigured, match="2026-11-04 00:00"):
        close_periods(clickhouse, Request("2026-10"), NOVEMBER)
    assert close(clickhouse).issued == []
    assert [draft.account_id for draft in preview_periods(clickhouse, Request("2026-10"), NOVEMBER)] == ["acme"]
    assert invoices_of(clickhouse, "acme") == []


def test_a_run_waits_for_the_rollups(clickhouse: ClickHouse) -> None:
    """Events that were stored before the period closed must be in the charges."""
    charge(clickhouse, Used())
    clickhouse.execute(
        "INSERT INTO stored_ingest_batches (kafka_topic, batch_id, records, stored, arrived_at, stored_at)"
        " VALUES ('t', 1, 1, 1, now64(3), now64(6))"
    )
    now = datetime.now(UTC) + timedelta(days=70)
    with pytest.raises(Misconfigured, match="taximeter aggregate"):
        close_periods(clickhouse, Request(), now)
    assert close_periods(clickhouse, Request("2026-10"), now.replace(year=2099)).issued


def test_a_run_waits_for_prices_and_re_ratings(clickhouse: ClickHouse) -> None:
    """What is in the book by now must be in the charges: else it would be late at once."""
    charge(clickhouse, Used())
    clickhouse.execute("INSERT INTO stored_book_versions SELECT now64(6), 7, 7")
    with pytest.raises(Misconfigured, match="taximeter aggregate"):
        close(clickhouse)
    version = current_book(clickhouse).version
    clickhouse.execute("INSERT INTO stored_book_versions SELECT now64(6), {book:UInt64}, 8", {"book": version})
    clickhouse.execute("INSERT INTO stored_reprices (reprice_id, step, at) VALUES ('r', 2, now64(6))")
    with pytest.raises(Misconfigured, match="taximeter aggregate"):
        close(clickhouse)
    clickhouse.execute("INSERT INTO stored_reprices (reprice_id, step, at) VALUES ('r', 3, now64(6))")
    assert issued(clickhouse).number == 1


def test_an_account_without_a_name_is_not_all_of_them(clickhouse: ClickHouse) -> None:
    """An empty name in a script must not bill everybody."""
    charge(clickhouse, Used(), Used(account_id="beta"))
    assert close(clickhouse, account="").issued == []
    assert close(clickhouse, account="", period="2026-10").issued == []


def test_one_accounts_settings_do_not_keep_others_from_their_invoices(clickhouse: ClickHouse) -> None:
    """It is named, with the mend."""
    charge(clickhouse, Used(), Used(account_id="beta"))
    append(clickhouse, Terms("acme", EPOCH, plan_id="nowhere"))
    append(clickhouse, Terms("away", EPOCH, time_zone="Mars/Olympus"))
    report = close_periods(clickhouse, Request(), NOVEMBER)
    assert [invoice.draft.account_id for invoice in report.issued] == ["beta"]
    mends = {account: error.mend for account, error in report.refused}
    assert "billing plan nowhere" in mends["acme"]
    assert "IANA" in mends["away"]


def test_terms_that_would_move_an_invoiced_period_bill_nothing(clickhouse: ClickHouse) -> None:
    """Also where somebody wrote the row by hand."""
    charge(clickhouse, Used())
    issued(clickhouse)
    append(clickhouse, Terms("acme", EPOCH, anchor_day=15))
    charge(clickhouse, Used(at=OF_NOVEMBER))
    report = close_periods(clickhouse, Request("2026-11"), JANUARY)
    assert report.issued == []
    assert "INV-000001" in report.refused[0][1].problem


def test_the_views_show_heads_and_lines(clickhouse: ClickHouse) -> None:
    """The sum of the lines is what is due, in SQL too."""
    charge(clickhouse, Used(), Used(account_id="beta", quantity=Decimal(777)))
    close(clickhouse)
    change_status(clickhouse, replace(issued_number(clickhouse, 2)), Change(Status.FAILED, NOVEMBER, "ada"))
    heads = clickhouse.rows("SELECT number, due_usd, status FROM invoices ORDER BY number")
    sums = clickhouse.rows(
        "SELECT number, sum(amount_usd), any(status) FROM invoice_lines GROUP BY number ORDER BY number"
    )
    assert heads == sums
    assert [head[2] for head in heads] == ["pending", "failed"]


def issued_number(clickhouse: ClickHouse, number: int) -> Invoice:
    """The invoice, which is there."""
    found = find_invoice(clickhouse, number)
    assert found is not None
    return found
