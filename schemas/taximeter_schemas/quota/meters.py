"""Meters: what a limit can count, and amounts of them.

Every meter but two kinds counts whole things. `cost_usd` is US dollars, `plugin_units.<unit>` what a plugin states of
that unit. Names are those of the usage tables in ClickHouse. Times are microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final

from pydantic import AfterValidator

from taximeter_schemas.money import COST_SCALE, UNIT_SCALE, exact

COST: Final = "cost_usd"
UNITS_OF_PLUGINS: Final = "plugin_units."
WHOLE_METERS: Final = (
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "executions",
    "code_us",
    "http_requests",
    "http_bytes",
    "plugin_invocations",
)
METERS: Final = (*WHOLE_METERS, COST)
"""All meters with a fixed name; `plugin_units.<unit>` are the others."""

# Sums of them stay far below what 38 digits hold.
_MOST: Final = Decimal(10) ** 18
_UNIT_LENGTH: Final = 256
ZERO: Final = Decimal(0)


def known_meter(meter: str) -> str:
    """`meter`, if there is such a one. Raises ValueError with the names that there are."""
    if meter in METERS:
        return meter
    unit = meter.removeprefix(UNITS_OF_PLUGINS)
    if meter != unit and 0 < len(unit) <= _UNIT_LENGTH:
        return meter
    raise ValueError(f"there is no meter {meter!r}; there are {', '.join(METERS)} and {UNITS_OF_PLUGINS}<unit>")


def known_amount(meter: str, amount: Decimal) -> Decimal:
    """`amount` of `meter`: zero or more, finite, whole where the meter counts whole things. Raises ValueError."""
    if not amount.is_finite() or not 0 <= amount <= _MOST:
        raise ValueError(f"{amount} of {meter} is no amount: it must lie between 0 and 10^18")
    if meter == COST:
        return exact(amount, COST_SCALE)
    if meter.startswith(UNITS_OF_PLUGINS):
        return exact(amount, UNIT_SCALE)
    whole = amount.to_integral_value()
    if whole != amount:
        raise ValueError(f"{amount} of {meter} is no whole number")
    return whole


def _known_amounts(amounts: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    return {known_meter(meter): known_amount(meter, amount) for meter, amount in amounts.items()}


Amounts = Annotated[Mapping[str, Decimal], AfterValidator(_known_amounts)]
"""Meter to amount. A meter that is not named is not limited by what holds it, and not counted by it."""
