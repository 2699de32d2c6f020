"""A lease's arithmetic: nothing is given out twice, nothing is lost, whatever the order."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.quota.grains import amounts_of, grains_of
from taximeter.quota.lease import Lease, Sizing

AMOUNTS = st.dictionaries(st.sampled_from(["total_tokens", "executions", "code_us"]), st.integers(0, 50))
STEPS = st.lists(st.tuples(st.sampled_from(["draw", "done", "cancel"]), AMOUNTS), max_size=40)


@given(STEPS)
def test_left_open_and_used_are_always_all_of_it(steps: list[tuple[str, dict[str, int]]]) -> None:
    """left + given out + used = amounts for every meter, after any draws, settlings and cancellings."""
    lease = Lease("h", "r", {"total_tokens": 200, "executions": 100}, 0.0, 30.0)
    opened: list[dict[str, int]] = []
    used: dict[str, int] = {}
    for step, amounts in steps:
        if step == "draw":
            if lease.has(amounts):
                lease.draw(amounts, 1.0)
                opened.append(amounts)
        elif opened:
            need = opened.pop(0)
            actual = {meter: amount for meter, amount in amounts.items() if meter in lease.amounts}
            if step == "cancel":
                lease.give_back(need)
                continue
            lease.settle(need, actual)
            for meter in {*need, *actual}:
                used[meter] = used.get(meter, 0) + actual.get(meter, need.get(meter, 0))
        for meter, amount in lease.amounts.items():
            out = sum(need.get(meter, 0) for need in opened)
            assert lease.left[meter] + out + used.get(meter, 0) == amount
    assert lease.opened == len(opened)


@given(STEPS)
def test_what_is_given_out_never_exceeds_the_lease(steps: list[tuple[str, dict[str, int]]]) -> None:
    """As long as nobody uses more than was estimated, open and used together stay within the amounts."""
    lease = Lease("h", "r", {"total_tokens": 60}, 0.0, 30.0)
    opened: list[dict[str, int]] = []
    for step, amounts in steps:
        need = {"total_tokens": amounts.get("total_tokens", 0)}
        if step == "draw" and lease.has(need):
            lease.draw(need, 1.0)
            opened.append(need)
        elif step != "draw" and opened:
            first = opened.pop()
            lease.settle(first, {"total_tokens": min(first["total_tokens"], need["total_tokens"])})
        assert lease.used["total_tokens"] <= 60


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.floats(0.01, 60), st.integers(1, 100), st.integers(1, 10**6))
def test_a_lease_is_never_smaller_than_what_is_needed_now(
    need: int, drawn: int, elapsed: float, checks: int, most: int
) -> None:
    """Whatever the pace and the bounds: at least the need, and beyond it at most the bound."""
    last = Lease("h", "r", {"total_tokens": max(1, drawn)}, 0.0, 30.0)
    last.draw({"total_tokens": drawn}, 0.0)
    wanted = Sizing(30.0, checks, {"total_tokens": most}).wanted({"total_tokens": need}, last, elapsed)
    assert need <= wanted["total_tokens"] <= max(need, most)


def test_a_lease_grows_with_its_pace_eightfold_at_most() -> None:
    """A lease that was used up in a second asks for more, but not for thirty times as much at once."""
    last = Lease("h", "r", {"total_tokens": 1_000}, 0.0, 30.0)
    last.draw({"total_tokens": 1_000}, 0.5)
    assert Sizing(30.0, 2, {}).wanted({}, last, 1.0) == {"total_tokens": 8_000}


def test_a_lease_of_money_is_not_bounded_by_a_dollar() -> None:
    """Grains of money are small: sixteen checks of 2.50 are 40 dollars."""
    need = grains_of({"cost_usd": Decimal("2.50")})
    assert amounts_of(Sizing(30.0, 16, {}).wanted(need, None, 0.0)) == {"cost_usd": Decimal(40)}


@given(st.decimals(0, 10**9, places=18))
def test_money_survives_grains_to_the_last_digit(cost: Decimal) -> None:
    """Amounts become grains and come back unchanged, whatever the host's decimal context."""
    with localcontext() as context:
        context.prec = 5
        back = amounts_of(grains_of({"cost_usd": cost}))
    assert back.get("cost_usd", Decimal(0)) == cost


@pytest.mark.parametrize("amounts", [{"tokens": 1}, {"total_tokens": -1}, {"total_tokens": Decimal("0.5")}])
def test_what_is_no_amount_is_refused(amounts: dict[str, int | Decimal]) -> None:
    """An unknown meter, a negative amount and half a token."""
    with pytest.raises(ValueError, match=r"meter|amount|whole"):
        grains_of(amounts)


def test_a_float_is_no_amount() -> None:
    """Money is never a float."""
    with pytest.raises(TypeError, match="never a float"):
        grains_of({"cost_usd": 0.1})  # type: ignore[dict-item]  # that is the mistake
