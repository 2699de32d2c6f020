"""From usage to what is due: pure, to the last digit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.billing.amounts import CENT, total
from taximeter_consumers.billing.invoice import sum_before_rounding, totals_of
from taximeter_consumers.billing.late import billed, unbilled
from taximeter_consumers.billing.lines import Charge, Key, Kind, Line, sum_of
from taximeter_consumers.billing.periods import Period
from taximeter_consumers.billing.terms import EPOCH, AddOn, BillingSettings, Credit, Plan, Terms
from taximeter_consumers.billing.totals import Carried, History, Included, all_lines, credit_lines

PERIOD = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC), "2026-10")
EARLIER = "2026-09"
AMOUNTS = st.decimals(-(10**15), 10**15, places=18)
POSITIVE = st.decimals(0, 10**6, places=18)
KEYS = st.builds(
    Key,
    st.sampled_from("ab"),
    st.just("openai"),
    st.sampled_from("xy"),
    st.just("input_tokens"),
    st.just("standard"),
    st.sampled_from(["priced", "adjusted", "unpriced"]),
    st.sampled_from([Decimal(0), Decimal("0.000002")]),
)
CHARGES = st.builds(Charge, st.integers(-9, 9), st.decimals(-(10**6), 10**6, places=9), AMOUNTS)
BY_PERIOD = st.dictionaries(
    st.sampled_from(["2026-08", "2026-09", "2026-10"]), st.dictionaries(KEYS, CHARGES, max_size=4), max_size=3
)


def used(amount: str, kind: Kind = Kind.USAGE) -> Line:
    """A line of usage."""
    key = Key("triage", "openai", "gpt-4.1", "input_tokens", "standard", "priced", Decimal(1))
    return Line(kind, PERIOD.label, Decimal(amount), key, 1, Decimal(amount))


def settings(included: str = "0", *granted: Credit, fee: str = "20") -> BillingSettings:
    """An account with a plan."""
    return BillingSettings(
        "acme",
        [Terms("acme", EPOCH, plan_id="pro")],
        [Plan("pro", EPOCH, "Pro", Decimal(fee), Decimal(included))],
        credits=granted,
    )


def credit(name: str, amount: str, expires: datetime | None = None) -> Credit:
    """A credit of old."""
    return Credit(name, "acme", Decimal(amount), EPOCH, expires)


@given(st.lists(AMOUNTS, max_size=6), POSITIVE, POSITIVE, st.lists(POSITIVE, max_size=3))
def test_the_lines_sum_up_to_whole_cents_within_half_a_cent_of_the_exact_sum(
    usage: list[Decimal], fee: Decimal, included: Decimal, amounts: list[Decimal]
) -> None:
    """Whatever is used, due is the sum of the lines, and nothing but the rounding line is not exact."""
    lines = [used(f"{amount:f}") for amount in usage]
    granted = [credit(f"c{place}", f"{amount:f}") for place, amount in enumerate(amounts)]
    made = all_lines(PERIOD, lines, settings(f"{included:f}", *granted, fee=f"{fee:f}"), History({}))
    totals = totals_of(made)
    assert totals["due_usd"] % CENT == 0
    assert abs(totals["due_usd"] - sum_before_rounding(made)) <= CENT / 2
    assert total(amount for name, amount in totals.items() if name != "due_usd") == totals["due_usd"]
    assert totals["usage_usd"] == total(usage)
    assert -totals["allowance_usd"] <= max(total(usage), 0)
    assert sum_of(made, Kind.CREDIT) == 0 or totals["due_usd"] >= 0


def test_half_a_cent_is_rounded_away_from_zero() -> None:
    """Also where the sum is negative."""
    bare = BillingSettings("acme")
    assert sum_of(all_lines(PERIOD, [used("0.005")], bare, History({}))) == Decimal("0.01")
    assert sum_of(all_lines(PERIOD, [used("-0.005", Kind.LATE)], bare, History({}))) == Decimal("-0.01")
    assert sum_of(all_lines(PERIOD, [used("0.004999999999999999")], bare, History({}))) == 0


def test_the_allowance_covers_usage_of_the_period_only() -> None:
    """Not the fee, not what is late of a period without a plan, and not more than it says."""
    late = replace(used("3", Kind.LATE), period=EARLIER)
    assert totals_of(all_lines(PERIOD, [used("7.5"), late], settings("10"), History({})))["due_usd"] == Decimal(23)
    assert totals_of(all_lines(PERIOD, [used("17.5"), late], settings("10"), History({})))["due_usd"] == Decimal("30.5")


@pytest.mark.parametrize(
    ("late", "allowance"), [("-20", "20"), ("5", "-5"), ("15", "-10"), ("-50", "40"), ("0.01", "-0.01")]
)
def test_late_lines_change_the_allowance_of_their_period(late: str, allowance: str) -> None:
    """Of 50 included, 40 were used: 10 are left for what is late, and what was not used after all is taken back."""
    line = replace(used(late, Kind.LATE), period=EARLIER)
    was = Included("old", "Old", Decimal(50))
    history = History({}, (), {EARLIER: was}, {EARLIER: Decimal(40)}, {EARLIER: Decimal(40)})
    made = all_lines(PERIOD, [line], BillingSettings("acme"), history)
    (found,) = [one for one in made if one.kind is Kind.ALLOWANCE]
    assert (found.period, found.amount_usd, found.reference) == (EARLIER, Decimal(allowance), "old")
    assert found.text == "Included in Old, correction for 2026-09"


def test_an_allowance_without_its_plan_is_taken_back() -> None:
    """The invoice with the fee is void: what another one gave for late lines of that period goes with it."""
    history = History({}, (), {}, {EARLIER: Decimal(5)}, {EARLIER: Decimal(5)})
    (line,) = all_lines(PERIOD, [], BillingSettings("acme"), history)
    assert (line.kind, line.period, line.amount_usd) == (Kind.ALLOWANCE, EARLIER, 5)


@given(st.lists(st.lists(AMOUNTS, max_size=3), min_size=1, max_size=5), POSITIVE)
def test_the_allowance_is_the_same_whatever_was_late(invoices: list[list[Decimal]], included: Decimal) -> None:
    """Over all invoices it is what was used in the period, up to what was included; and every sum holds."""
    billed_usd = allowed = Decimal(0)
    for place, amounts in enumerate(invoices):
        lines = [replace(used(f"{amount:f}", Kind.LATE), period=EARLIER) for amount in amounts]
        period = PERIOD if place else replace(PERIOD, label=EARLIER)
        was = {EARLIER: Included("pro", "Pro", included)} if place else {}
        terms = BillingSettings("acme") if place else settings(f"{included:f}")
        made = all_lines(period, lines, terms, History({}, (), was, {EARLIER: billed_usd}, {EARLIER: allowed}))
        billed_usd = total((billed_usd, *amounts))
        allowed = total((allowed, -sum_of(made, Kind.ALLOWANCE)))
        assert allowed == min(included, max(Decimal(0), billed_usd))
        assert sum_of(made) % CENT == 0
        assert abs(sum_of(made) - sum_before_rounding(made)) <= CENT / 2


def test_credits_that_expire_first_are_used_first_and_never_below_nothing() -> None:
    """What is left of a credit stays for the next invoice."""
    soon, late = datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    granted = [credit("never", "50"), credit("late", "3", late), credit("soon", "4", soon)]
    lines = credit_lines(PERIOD, granted, {}, Decimal(10))
    assert [(line.reference, line.amount_usd) for line in lines] == [("soon", -4), ("late", -3), ("never", -3)]
    assert [line.reference for line in credit_lines(PERIOD, granted, {"soon": Decimal(4)}, Decimal(1))] == ["late"]
    assert credit_lines(PERIOD, granted, {}, Decimal(0)) == credit_lines(PERIOD, granted, {}, Decimal(-5)) == []


def test_a_credit_counts_for_periods_that_touch_its_life() -> None:
    """Granted before the period's end, and not expired at its start."""
    gone, future = credit("gone", "5", PERIOD.starts_at), Credit("future", "acme", Decimal(5), PERIOD.ends_at)
    assert credit_lines(PERIOD, [gone, future], {}, Decimal(9)) == []


def test_a_negative_sum_lowers_the_next_invoice() -> None:
    """It is carried before credits are used."""
    lines = all_lines(
        PERIOD, [used("9")], settings("0", credit("c", "100")), History({}, [Carried("INV-000001", Decimal(-4))])
    )
    assert [(line.kind, line.amount_usd) for line in lines[-2:]] == [(Kind.CARRIED, -4), (Kind.CREDIT, -25)]


def test_add_ons_count_for_periods_that_begin_in_their_life() -> None:
    """From its start on, and no more where it ends at the period's start."""
    old = AddOn("acme", "old", EPOCH, Decimal(5), PERIOD.starts_at)
    new = AddOn("acme", "new", PERIOD.starts_at, Decimal(7))
    later = AddOn("acme", "later", datetime(2026, 10, 2, tzinfo=UTC), Decimal(9))
    lines = all_lines(PERIOD, [], BillingSettings("acme", add_ons=[old, new, later]), History({}))
    assert [(line.reference, line.amount_usd) for line in lines] == [("new", 7)]


@given(BY_PERIOD, BY_PERIOD)
def test_what_is_unbilled_brings_what_was_billed_to_the_charges(
    before: dict[str, dict[Key, Charge]], now: dict[str, dict[Key, Charge]]
) -> None:
    """Key by key and period by period, whatever was billed before; after that nothing is left."""
    billed_before = unbilled(before, {}, "2026-08")
    lines = unbilled(now, billed(billed_before), "2026-10")
    after = billed([*billed_before, *lines])
    assert unbilled(now, after, "2026-10") == []
    assert {line.period for line in lines if line.kind is Kind.USAGE} <= {"2026-10"}
    assert "2026-10" not in {line.period for line in lines if line.kind is Kind.LATE}
