"""Sums of money to the last digit. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# More digits than any sum of 38-digit amounts has; what would not fit raises instead of being rounded.
_EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation])
_WIDE: Final = Context(prec=60, rounding=ROUND_HALF_UP)
CENT: Final = Decimal("0.01")
ZERO: Final = Decimal(0)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum; Python's own `sum` rounds to 28 digits."""
    whole = ZERO
    for amount in amounts:
        whole = _EXACT.add(whole, amount)
    return whole


def less(amount: Decimal, other: Decimal) -> Decimal:
    """The exact difference."""
    return _EXACT.subtract(amount, other)


def negated(amount: Decimal) -> Decimal:
    """The same amount the other way; zero stays zero."""
    return _EXACT.subtract(ZERO, amount)


def times(quantity: Decimal, price: Decimal) -> Decimal:
    """The exact product."""
    return _EXACT.multiply(quantity, price)


def whole_cents(amount: Decimal) -> Decimal:
    """Rounded to cents; half a cent goes away from zero."""
    return amount.quantize(CENT, context=_WIDE)
