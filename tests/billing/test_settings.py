"""Settings of billing, and the cost of accounts by their billing periods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.billing.charges import Used, charge

from taximeter_consumers.billing import AddOn, Credit, Plan, Request, Terms, append, close_periods, read_settings
from taximeter_consumers.billing.account_view import account_object
from taximeter_consumers.billing.held_periods import hold_periods
from taximeter_consumers.billing.periods import period_of
from taximeter_consumers.billing.terms import EPOCH
from taximeter_consumers.billing.terms_change import change_plan, change_terms, end_add_on
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_schemas.errors import Misconfigured

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, tzinfo=UTC)
OCTOBER, NOVEMBER = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)


def test_what_was_set_is_read_back(clickhouse: ClickHouse) -> None:
    """Amounts to 18 decimal places, instants to the microsecond."""
    moment = NOW + timedelta(microseconds=7)
    exact = Decimal("0.000000000000000001")
    rows = (
        Terms("acme", moment, "pro", 5, "Europe/Berlin", 48, "Acme", "Street 1\nTown"),
        Plan("pro", EPOCH, "Pro", exact, exact),
        AddOn("acme", "support", moment, exact),
        Credit("c", "acme", exact, moment, moment + timedelta(days=1), "why"),
    )
    for row in rows:
        append(clickhouse, row)
        append(clickhouse, row)
    settings = read_settings(clickhouse)
    found = settings.of("acme")
    assert (*found.terms, *found.plans, *found.add_ons, *found.credits) == rows
    assert settings.accounts == {"acme"}


def test_a_credit_is_granted_once(clickhouse: ClickHouse) -> None:
    """The same id again, with whatever amount, grants nothing."""
    append(clickhouse, Credit("c", "acme", Decimal(5), EPOCH))
    append(clickhouse, Credit("c", "acme", Decimal(500), EPOCH))
    (one,) = read_settings(clickhouse).of("acme").credits
    assert one.amount_usd == 5


def test_an_accounts_first_terms_count_from_its_current_period(clickhouse: ClickHouse) -> None:
    """Later ones from the next period on; what is not named stays."""
    change_plan(clickhouse, "pro", {"fee_usd": Decimal(9), "name": "Pro"}, None)
    first, period = change_terms(clickhouse, "acme", {"plan_id": "pro", "name": "Acme"}, None, NOW)
    assert (first.valid_from, period.label) == (NOVEMBER, "2026-11")
    second, period = change_terms(clickhouse, "acme", {"anchor_day": 15}, None, NOW)
    assert (second.plan_id, second.name, second.valid_from, period.label) == ("pro", "Acme", NOW, "2026-12")


@pytest.mark.parametrize("wrong", [{"plan_id": "nowhere"}, {"time_zone": "Mars/Olympus"}, {"anchor_day": 31}])
def test_terms_that_cannot_be_are_not_stored(clickhouse: ClickHouse, wrong: dict[str, str | int]) -> None:
    """The mend is said at once, not when invoices are due."""
    with pytest.raises(Misconfigured):
        change_terms(clickhouse, "acme", wrong, None, NOW)
    assert read_settings(clickhouse).terms == {}


def test_terms_do_not_move_an_invoiced_period(clickhouse: ClickHouse) -> None:
    """What is on an invoice stays where it is; from its end on the day may change."""
    charge(clickhouse, Used())
    close_periods(clickhouse, Request("2026-10"), NOW)
    with pytest.raises(Misconfigured, match="INV-000001"):
        change_terms(clickhouse, "acme", {"anchor_day": 9}, datetime(2026, 9, 3, tzinfo=UTC), NOW)
    _, period = change_terms(clickhouse, "acme", {"anchor_day": 9}, NOVEMBER, NOW)
    assert (period.starts_at, period.ends_at) == (NOVEMBER, datetime(2026, 12, 9, tzinfo=UTC))


def test_a_plan_changes_from_a_day_that_is_said(clickhouse: ClickHouse) -> None:
    """Its first version needs a fee and holds from ever."""
    with pytest.raises(Misconfigured, match="fee"):
        change_plan(clickhouse, "pro", {"name": "Pro"}, None)
    change_plan(clickhouse, "pro", {"fee_usd": Decimal(9)}, None)
    with pytest.raises(Misconfigured, match="--from"):
        change_plan(clickhouse, "pro", {"fee_usd": Decimal(10)}, None)
    made = change_plan(clickhouse, "pro", {"included_usd": Decimal(3)}, NOVEMBER)
    assert (made.fee_usd, made.included_usd, made.name) == (9, 3, "pro")


def test_an_add_on_ends(clickhouse: ClickHouse) -> None:
    """One that is not there cannot."""
    append(clickhouse, AddOn("acme", "support", OCTOBER, Decimal(9)))
    assert end_add_on(clickhouse, "acme", "support", NOVEMBER).ends_at == NOVEMBER
    assert read_settings(clickhouse).of("acme").add_ons_at(NOVEMBER) == []
    with pytest.raises(Misconfigured, match="no add-on"):
        end_add_on(clickhouse, "acme", "support", NOW)


def test_an_account_shows_what_is_left_of_its_credits(clickhouse: ClickHouse) -> None:
    """After what invoices have used."""
    append(clickhouse, Credit("c", "acme", Decimal(12), EPOCH))
    charge(clickhouse, Used(quantity=Decimal(4_000_000)))
    close_periods(clickhouse, Request("2026-10"), NOW)
    found = account_object(clickhouse, "acme", NOW)
    assert [one["left_usd"] for one in found["credits"]] == [2]
    assert found["period"]["label"] == "2026-11"


def use(clickhouse: ClickHouse, account_id: str, *minutes: datetime) -> None:
    """A dollar in each minute."""
    columns = ("account_id", "minute", "events", "cost_usd", "ai_calls", "unpriced_calls", "version")
    rows = [(account_id, minute, 1, Decimal(1), 2, 1, 1) for minute in minutes]
    clickhouse.insert("stored_usage_by_subject", columns, rows)


def test_period_costs_follow_the_accounts_periods(clickhouse: ClickHouse) -> None:
    """Months in UTC for whoever has no terms; else the account's own, from the first on that they touch."""
    terms = [
        Terms("acme", OCTOBER, anchor_day=5, time_zone="Europe/Berlin"),
        Terms("acme", NOVEMBER, anchor_day=20, time_zone="Asia/Kolkata"),
    ]
    assert hold_periods(clickhouse, {"acme": terms}, NOW) == 38
    assert hold_periods(clickhouse, {"acme": terms}, NOW) == 0
    minutes = [datetime(2026, 9, 30, 23, 59, tzinfo=UTC) + timedelta(minutes=997 * step) for step in range(150)]
    edges = [period_of(terms, minute).ends_at for minute in minutes]
    minutes += [*set(edges), *(edge - timedelta(minutes=1) for edge in set(edges))]
    minutes = sorted(set(minutes))
    use(clickhouse, "acme", *minutes)
    use(clickhouse, "beta", *minutes)
    rows = clickhouse.rows("SELECT account_id, period, starts_at, events, cost_usd, unpriced_calls FROM period_costs")
    found = {(row[0], row[1]): (row[2].replace(tzinfo=UTC), *row[3:]) for row in rows}
    for account_id, history in (("acme", terms), ("beta", [])):
        for period in {period_of(history, minute) for minute in minutes}:
            count = sum(period.starts_at <= minute < period.ends_at for minute in minutes)
            assert found.pop((account_id, period.label)) == (period.starts_at, count, Decimal(count), count)
    assert found == {}


def test_held_periods_are_written_anew_where_terms_change(clickhouse: ClickHouse) -> None:
    """And ever further as time goes on, long before they run out."""
    hold_periods(clickhouse, {"acme": [Terms("acme", OCTOBER, anchor_day=5)]}, NOW)
    changed = {"acme": [Terms("acme", OCTOBER, anchor_day=7)]}
    assert hold_periods(clickhouse, changed, NOW) > 0
    assert hold_periods(clickhouse, changed, NOW + timedelta(days=400)) == 0
    assert hold_periods(clickhouse, changed, NOW + timedelta(days=800)) > 0
    starts = "SELECT uniqExact(toDayOfMonth(starts_at)) FROM billing_periods WHERE label > '2026-10'"
    assert clickhouse.scalar(starts) == 1
