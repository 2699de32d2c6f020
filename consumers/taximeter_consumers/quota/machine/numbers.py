"""Exact decimals: sums never lose a digit, and equal numbers are written alike.

The same state must come out as the same bytes, by whatever sums it was reached: so what leaves the machine is in one
form, without an exponent and without trailing zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Final

from taximeter_schemas.money import COST_SCALE, UNIT_SCALE, plain
from taximeter_schemas.quota.meters import COST, UNITS_OF_PLUGINS, ZERO

EXACT: Final = Context(prec=120)
"""Amounts have at most 37 digits; a sum of them, times a percentage, stays far below this."""
_FOUR: Final = Decimal(4)


def canonical(amount: Decimal) -> Decimal:
    """The same number in the one form."""
    return Decimal(plain(amount))


def canonical_amounts(amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The same numbers in the one form, in the same order."""
    return {meter: canonical(amount) for meter, amount in amounts.items()}


def quarter(meter: str, amount: Decimal) -> Decimal:
    """A fourth of an amount, rounded down to what the meter can count; nothing of less than nothing."""
    scale = COST_SCALE if meter == COST else UNIT_SCALE if meter.startswith(UNITS_OF_PLUGINS) else 0
    return max(ZERO, amount / _FOUR).quantize(Decimal(1).scaleb(-scale), ROUND_FLOOR)
