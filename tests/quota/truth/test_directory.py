"""Which rules count where: dated rows, nearness, add-ons, organisations. Pure."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.quota.truth.world import NOON, NOW, START, limit, micros

from taximeter_consumers.billing.terms import Terms
from taximeter_consumers.quota.plans.assignments import AddOn, Assignment, Membership
from taximeter_consumers.quota.plans.directory import Directory, Rows
from taximeter_consumers.quota.plans.named_level import account, level_of, organisation
from taximeter_consumers.quota.plans.plans import QuotaPlan, multiplied, shipped_plans
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.limits import Action, Window

MONTH, RUN, TOKENS = Window.MONTH, Window.RUN, "total_tokens"
HOUR = timedelta(hours=1)


def directory(*limits: Any, multiplier: str = "1", plans: tuple[str, ...] = ("p",), **rows: Any) -> Directory:
    """A directory of plans with one multiplier."""
    held = [QuotaPlan(name, START, name, Decimal(multiplier)) for name in plans]
    return Directory(Rows(plans=held, limits=limits, **rows))


def assigned(key: str, plan_id: str = "p", at: Any = START) -> Assignment:
    """A dated row."""
    return Assignment(level_of(key), at, plan_id)


def amounts(directory: Directory, key: str, now: int = NOW) -> dict[str, Decimal]:
    """What counts at a level: limit to amount."""
    return {rule.limit_id: rule.amount for rule in directory.rules(level_of(key), now)}


def test_no_assignment_no_rule() -> None:
    """Nothing is limited where nobody said so, and a plan that does not exist limits nothing."""
    assert amounts(directory(limit(TOKENS, MONTH, 5)), "account/acme") == {}
    assert amounts(directory(assignments=[assigned("account/acme", "gone")]), "account/acme") == {}


@given(st.sampled_from([None, 0]))
def test_zero_and_null_are_no_limits(amount: int | None) -> None:
    """Neither ever becomes a rule."""
    held = directory(limit(TOKENS, MONTH, amount), assignments=[assigned("account/acme")])
    assert amounts(held, "account/acme") == {}


def test_the_row_in_force_counts() -> None:
    """Of assignments, plans and limits the last one that has begun."""
    later = limit(TOKENS, MONTH, 7)
    held = directory(
        limit(TOKENS, MONTH, 5),
        type(later)(**{**vars(later), "valid_from": NOON}),
        assignments=[assigned("account/acme"), assigned("account/acme", "", NOON + HOUR)],
    )
    key, name = "account/acme", "p/total_tokens/month"
    assert amounts(held, key, NOW - 1) == {name: 5}
    assert amounts(held, key, NOW) == {name: 7}
    assert amounts(held, key, micros(NOON + HOUR)) == {}
    assert held.next_change(NOW) == micros(NOON + HOUR)


@given(
    st.decimals(min_value=Decimal("0.000000000000000001"), max_value=10**18, places=18),
    st.decimals(min_value=Decimal("0.000000001"), max_value=1000, places=9),
)
def test_a_multiplier_never_makes_a_limit_no_limit(amount: Decimal, multiplier: Decimal) -> None:
    """The product is exact down to 18 places, and more than zero."""
    product = multiplied(amount, multiplier)
    assert product > 0
    assert abs(float(product) - float(amount) * float(multiplier)) <= 1e-9 * float(product) + 1e-17


def test_the_multiplier_is_the_plans() -> None:
    """Add-ons are not multiplied."""
    add_on = AddOn("x", account("acme"), TOKENS, Decimal(3), START)
    held = directory(
        limit(TOKENS, MONTH, 5), multiplier="1.5", assignments=[assigned("account/acme")], add_ons=[add_on]
    )
    (rule,) = held.rules(account("acme"), NOW)
    assert (rule.amount, rule.added, rule.most) == (Decimal("7.5"), 3, Decimal("10.5"))


def test_add_ons_raise_the_month_of_their_meter_and_level_while_they_hold() -> None:
    """Not the day, not another meter, not another level, not before and not after."""
    add_on = AddOn("x", account("acme"), TOKENS, Decimal(3), NOON, NOON + HOUR)
    more = AddOn("y", account("acme"), TOKENS, Decimal(4), START)
    held = directory(
        limit(TOKENS, MONTH, 5),
        limit(TOKENS, Window.DAY, 5),
        limit("executions", MONTH, 5),
        assignments=[assigned("account/acme"), assigned("account/beta")],
        add_ons=[add_on, more],
    )

    def added(key: str, now: int) -> dict[str, Decimal]:
        return {rule.limit_id: rule.added for rule in held.rules(level_of(key), now) if rule.added}

    assert added("account/acme", NOW) == {"p/total_tokens/month": 7}
    assert added("account/acme", NOW - 1) == added("account/acme", micros(NOON + HOUR)) == {"p/total_tokens/month": 4}
    assert added("account/beta", NOW) == {}


def test_the_nearest_place_that_says_anything_counts() -> None:
    """For one meter and window: the level's own plan, then each user of the account, then of the organisation; also
    where the nearest says that there is none."""
    held = directory(
        limit(TOKENS, MONTH, 1000, plan="big"),
        limit(TOKENS, MONTH, 30, "user", plan="big"),
        limit("executions", MONTH, 33, "user", plan="big"),
        limit("code_us", MONTH, 37, "user", plan="big"),
        limit(TOKENS, MONTH, 20, "user"),
        limit("executions", MONTH, None, "user"),
        limit(TOKENS, MONTH, 10, plan="own"),
        plans=("p", "big", "own"),
        assignments=[
            *(assigned("organisation/o", "big"), assigned("account/acme"), assigned("user/acme/ada", "own")),
        ],
        memberships=[Membership("acme", START, "o"), Membership("beta", START, "o")],
    )
    assert amounts(held, "user/acme/ada") == {"own/total_tokens/month": 10, "big/user/code_us/month": 37}
    assert amounts(held, "user/acme/bob") == {"p/user/total_tokens/month": 20, "big/user/code_us/month": 37}
    assert amounts(held, "user/beta/cy")["big/user/total_tokens/month"] == 30
    assert amounts(held, "organisation/o") == {"big/total_tokens/month": 1000}
    assert amounts(held, "account/acme") == {}


def test_several_limits_of_one_kind_in_one_plan_all_count() -> None:
    """A soft one below a hard one."""
    warning = limit(TOKENS, MONTH, 4, hard=False)
    held = directory(
        type(warning)(**{**vars(warning), "limit_id": "warning"}),
        limit(TOKENS, MONTH, 5),
        assignments=[assigned("account/acme")],
    )
    assert amounts(held, "account/acme") == {"p/warning": 4, "p/total_tokens/month": 5}


def test_runs_have_the_limits_of_each_run() -> None:
    """Of their account's plan."""
    held = directory(limit("executions", RUN, 9, "run"), assignments=[assigned("account/acme")])
    assert amounts(held, "run/acme/r1") == {"p/executions/run": 9}


def test_an_account_without_assignment_has_the_plan_it_is_billed_by() -> None:
    """If a quota plan has that name; an assignment of its own goes first, also one to none."""
    terms = {name: [Terms(name, START, plan_id=plan)] for name, plan in (("acme", "p"), ("beta", "other"), ("cy", "p"))}
    held = directory(limit(TOKENS, MONTH, 5), assignments=[assigned("account/cy", "")], terms=terms)
    assert amounts(held, "account/acme") == {"p/total_tokens/month": 5}
    assert amounts(held, "account/beta") == amounts(held, "account/cy") == {}
    assert held.assigned(NOW) == {account("acme"): {account("acme")}}


def test_accounts_move_between_roots() -> None:
    """From the instant of the row on; what they used in between is known to be the organisation's."""
    later = NOON + HOUR
    held = directory(memberships=[Membership("acme", NOON, "o"), Membership("acme", later, "")])
    assert [held.root_of("acme", micros(NOON) + step) for step in (-1, 0)] == [account("acme"), organisation("o")]
    assert held.root_of("acme", micros(later)) == account("acme")
    (stay,) = held.stays("o")
    assert (stay.account_id, stay.span.starts_at, stay.span.ends_at) == ("acme", micros(NOON), micros(later))


def test_shipped_plans_have_their_tokens() -> None:
    """50,000, 2,500,000, 5,000,000 and 10,000,000 a month."""
    plans, limits = shipped_plans(START)
    held = Directory(
        Rows(plans=plans, limits=limits, assignments=[assigned(f"account/{one.plan_id}", one.plan_id) for one in plans])
    )
    found = {one.plan_id: amounts(held, f"account/{one.plan_id}").popitem()[1] for one in plans}
    assert found == {"hobby": 50_000, "starter": 2_500_000, "business": 5_000_000, "enterprise": 10_000_000}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"meter": "tokens"}, "no meter 'tokens'"),
        ({"amount": Decimal("1.5")}, "no whole number"),
        ({"level": "organisation"}, "each 'organisation'"),
        ({"window": RUN}, "over nothing but the run"),
        ({"action": Action.DEGRADE}, "how to go on"),
        ({"thresholds": (Decimal(0),)}, "percent"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(fields: dict[str, Any], problem: str) -> None:
    """With what is wrong and what to do."""
    good = limit(TOKENS, MONTH, 5)
    with pytest.raises(Misconfigured, match=problem):
        type(good)(**{**vars(good), **fields})


@pytest.mark.parametrize("multiplier", ["0", "-1", "NaN", "0.0000000001"])
def test_a_multiplier_is_positive(multiplier: str) -> None:
    """Zero would make every limit none."""
    with pytest.raises(Misconfigured, match="no multiplier"):
        QuotaPlan("p", START, "P", Decimal(multiplier))
