"""Lines of an invoice, and how charges become lines. Pure.

A charge is what an account used in one billing period under one key: workflow, model, unit, price and where the price
is from. A line says what is billed; the lines of an invoice sum up to what is due, to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from taximeter_consumers.billing.amounts import ZERO, less, total

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Kind(StrEnum):
    """What a line bills, in the order in which lines stand on an invoice."""

    USAGE = "usage"
    LATE = "late"
    PLAN = "plan"
    ALLOWANCE = "allowance"
    ADD_ON = "add_on"
    CARRIED = "carried"
    CREDIT = "credit"
    ROUNDING = "rounding"


@dataclass(frozen=True, order=True)
class Key:
    """What is charged apart from everything else, with its price for one unit (0 where the source is not priced)."""

    workflow_id: str
    provider: str
    model: str
    unit: str
    service_tier: str
    source: str
    usd_per_unit: Decimal


@dataclass(frozen=True)
class Charge:
    """How much was used under a key, and what it costs."""

    events: int
    quantity: Decimal
    cost_usd: Decimal

    def __add__(self, other: Charge) -> Charge:
        return Charge(
            self.events + other.events,
            total((self.quantity, other.quantity)),
            total((self.cost_usd, other.cost_usd)),
        )

    def __sub__(self, other: Charge) -> Charge:
        return Charge(
            self.events - other.events, less(self.quantity, other.quantity), less(self.cost_usd, other.cost_usd)
        )

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to tell; a use without a price is something."""
        return not (self.events or self.quantity or self.cost_usd)


NOTHING = Charge(0, ZERO, ZERO)


@dataclass(frozen=True)
class Line:
    """One line. `period` is the label of the period that it is for; `key` and `charge` are those of usage, `reference`
    names a plan, an add-on, a credit or an earlier invoice, and `text` says it in words."""

    kind: Kind
    period: str
    amount_usd: Decimal
    key: Key | None = None
    events: int = 0
    quantity: Decimal = ZERO
    reference: str = ""
    text: str = ""

    @property
    def charge(self) -> Charge:
        """What of a charge it bills."""
        return Charge(self.events, self.quantity, self.amount_usd)


def usage_lines(kind: Kind, period: str, charges: Mapping[Key, Charge]) -> list[Line]:
    """Charges as lines of a kind, by key; what is nothing is left out."""
    return [
        Line(kind, period, charge.cost_usd, key, charge.events, charge.quantity)
        for key, charge in sorted(charges.items())
        if not charge.is_nothing
    ]


def sum_of(lines: Iterable[Line], *kinds: Kind) -> Decimal:
    """What the lines of some kinds amount to; all of them where none is named."""
    return total(line.amount_usd for line in lines if not kinds or line.kind in kinds)
