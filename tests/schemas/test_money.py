"""Money: exact or refused."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_schemas.money import COST_SCALE, exact, plain, shown

amounts = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=18)


@given(amounts)
def test_exact_changes_no_value(amount: Decimal) -> None:
    """What fits is equal afterwards and has the scale."""
    kept = exact(amount, COST_SCALE)
    assert kept == amount
    assert kept.as_tuple().exponent == -COST_SCALE


@given(st.decimals(allow_nan=False, allow_infinity=False), st.integers(0, 18))
def test_exact_never_rounds(amount: Decimal, scale: int) -> None:
    """Any amount is kept to the last digit, or refused."""
    with suppress(ValueError):
        assert exact(amount, scale) == amount


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1e-19", "1e21"])
def test_what_does_not_fit_is_refused(amount: str) -> None:
    """Too fine, too large, and what is no number."""
    with pytest.raises(ValueError, match=r"does not fit|is not an amount"):
        exact(Decimal(amount), COST_SCALE)


@given(amounts)
def test_plain_is_the_same_number_without_an_exponent(amount: Decimal) -> None:
    """Machine output has every digit and no E."""
    text = plain(amount)
    assert Decimal(text) == amount
    assert "E" not in text
    assert not ("." in text and text.endswith("0"))


def test_shown_rounds_half_up() -> None:
    """For people: a dollar sign, thousands, six places."""
    assert shown(Decimal("1234.5678905")) == "$1,234.567891"
    assert shown(Decimal("0.125"), 2) == "$0.13"
