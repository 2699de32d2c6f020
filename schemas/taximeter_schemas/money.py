"""Money is `Decimal` US dollars, exact: a price times a count is never rounded before it is shown.

Two scales are enough for every number that Taximeter stores. A rate has 18 decimal places, so that a price per token
quoted per million tokens, or per thousand millions, is exact; a cost is a whole number times a rate, so it has the same
scale. What a provider states it charged has 12.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation

COST_SCALE = 18
REPORTED_COST_SCALE = 12
UNIT_SCALE = 9
_PRECISION = 38

_EXACT = Context(prec=_PRECISION, traps=[Inexact, InvalidOperation])


def exact(value: Decimal, scale: int) -> Decimal:
    """`value` with exactly `scale` decimal places. Raises ValueError where that would lose a digit, and for a NaN."""
    if not value.is_finite():
        raise ValueError(f"{value} is not an amount")
    try:
        return value.quantize(Decimal(1).scaleb(-scale), context=_EXACT)
    except ArithmeticError as error:
        raise ValueError(f"{value} does not fit into {_PRECISION} digits with {scale} decimal places") from error


def shown(cost: Decimal, places: int = 6) -> str:
    """`cost` for people: rounded half up to `places`, with a dollar sign. Never used where a sum is checked."""
    return f"${cost.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP):,}"


def plain(cost: Decimal) -> str:
    """`cost` to the last digit, without an exponent and without trailing zeros: the form of every machine output."""
    text = f"{cost:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
