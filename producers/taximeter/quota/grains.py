"""Grains: amounts of meters as whole numbers, so that a lease adds and subtracts exactly and quickly. Pure.

A grain of a whole meter is one of it; of `cost_usd` 10^-18 US dollars; of a plugin's unit 10^-9. The host's own decimal
context therefore changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal, Inexact
from typing import Final

from taximeter_schemas.money import COST_SCALE, UNIT_SCALE
from taximeter_schemas.quota.meters import COST, WHOLE_METERS, known_amount, known_meter

Amount = int | Decimal
Grains = dict[str, int]

_WHOLE: Final = frozenset(WHOLE_METERS)
_EXACT: Final = Context(prec=64, traps=[Inexact])


def scale_of(meter: str) -> int:
    """How many decimal places a grain of the meter has. Raises ValueError for a meter that does not exist."""
    if meter in _WHOLE:
        return 0
    known_meter(meter)
    return COST_SCALE if meter == COST else UNIT_SCALE


def grains_of(amounts: Mapping[str, Amount]) -> Grains:
    """Amounts as grains, without those that are zero.

    Raises ValueError for an unknown meter, a negative amount and a fraction of a whole meter, TypeError for a float.
    """
    grains: Grains = {}
    for meter, amount in amounts.items():
        if type(amount) is int and meter in _WHOLE and amount >= 0:
            if amount:
                grains[meter] = amount
        elif exact := _grains(meter, amount):
            grains[meter] = exact
    return grains


def _grains(meter: str, amount: Amount) -> int:
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        raise TypeError(f"an amount of {meter} is an int or a Decimal, never a {type(amount).__name__}")
    scale = scale_of(meter)
    return int(_EXACT.scaleb(known_amount(meter, Decimal(amount)), scale))


def amount_of(meter: str, grains: int) -> Decimal:
    """Grains as an amount."""
    return _EXACT.scaleb(Decimal(grains), -scale_of(meter))


def amounts_of(grains: Mapping[str, int]) -> dict[str, Decimal]:
    """Grains as amounts; what is below zero becomes zero."""
    return {meter: amount_of(meter, max(0, count)) for meter, count in grains.items()}
