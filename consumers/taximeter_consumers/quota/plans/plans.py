"""Quota plans and their limits as dated rows, and the plans that are shipped as examples. Values only.

A row holds from its own instant on, until the next row of the same plan, or of the same limit of it, begins. A limit
whose amount is None or zero is none: it limits nothing, and it takes the place of a wider one all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal
from typing import TYPE_CHECKING, Final

from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.money import plain
from taximeter_schemas.quota.limits import DEFAULT_THRESHOLDS, Action, OnOutage, Window
from taximeter_schemas.quota.meters import known_amount, known_meter
from taximeter_schemas.quota.subject import LevelKind

if TYPE_CHECKING:
    from datetime import datetime

SHIPPED: Final = "shipped"
_EACH: Final = ("", *(kind.value for kind in LevelKind if kind is not LevelKind.ORGANISATION))
_MOST_MULTIPLIER: Final = 10**9
_MULTIPLIER_PLACES: Final = 9
_LEAST: Final = Decimal(1).scaleb(-18)
# Products of 38 digits and 18 are exact in it; what is then cut off lies below the 18th place.
_WIDE: Final = Context(prec=80)


@dataclass(frozen=True)
class QuotaPlan:
    """One dated row of a plan."""

    plan_id: str
    valid_from: datetime
    name: str
    multiplier: Decimal = Decimal(1)
    added_by: str = ""

    def __post_init__(self) -> None:
        if not self.plan_id:
            raise Misconfigured("a plan needs a name", mend="name it, like starter")
        exponent = self.multiplier.as_tuple().exponent
        if (
            not self.multiplier.is_finite()
            or not 0 < self.multiplier <= _MOST_MULTIPLIER
            or (isinstance(exponent, int) and -exponent > _MULTIPLIER_PLACES)
        ):
            raise Misconfigured(
                f"plan {self.plan_id}: {self.multiplier} is no multiplier",
                mend=f"give a number above 0 with at most {_MULTIPLIER_PLACES} decimal places; 1 changes nothing",
            )


@dataclass(frozen=True)
class Limit:
    """One dated row of a limit. `level` is empty where it counts what the plan is assigned to as a whole; else it
    counts each account, project, user, key or run in there by itself. `thresholds` are percent of the limit."""

    plan_id: str
    limit_id: str
    valid_from: datetime
    meter: str
    window: Window
    amount: Decimal | None
    level: str = ""
    hard: bool = True
    action: Action = Action.BLOCK
    degrade_to: str = ""
    on_outage: OnOutage = OnOutage.CLOSED
    thresholds: tuple[Decimal, ...] = DEFAULT_THRESHOLDS
    added_by: str = ""

    def __post_init__(self) -> None:
        try:
            known_meter(self.meter)
            if self.amount is not None:
                known_amount(self.meter, self.amount)
        except ValueError as error:
            raise Misconfigured(f"limit {self.named}: {error}", mend="correct the meter or the amount") from None
        if self.level not in _EACH:
            raise Misconfigured(
                f"limit {self.named}: no plan limits each {self.level!r}",
                mend=f"choose {', '.join(_EACH[1:])}, or nothing for what the plan is assigned to",
            )
        if (self.window is Window.RUN) != (self.level == LevelKind.RUN):
            raise Misconfigured(
                f"limit {self.named}: what a run uses is limited for each run, and over nothing but the run",
                mend="say both the level run and the window run, or neither",
            )
        if self.action is Action.DEGRADE and not (self.degrade_to and self.hard):
            raise Misconfigured(
                f"limit {self.named}: nothing says how to go on where it is used up",
                mend="a limit that degrades is hard and names the model or mode to take instead",
            )
        if any(not one.is_finite() or not 0 < one <= 1000 for one in self.thresholds):
            raise Misconfigured(
                f"limit {self.named}: thresholds are percent of the limit",
                mend="give numbers above 0, like 50,75,90,100",
            )

    @property
    def named(self) -> str:
        """For people, and as `Rule.limit_id`."""
        return f"{self.plan_id}/{self.limit_id}"

    @property
    def kind(self) -> str:
        """What it limits: of two limits of one kind at one level the nearer one counts."""
        return f"{self.meter}/{self.window}"

    @property
    def limits(self) -> bool:
        """Whether it is one at all."""
        return self.amount is not None and self.amount > 0


def limit_id_of(level: str, meter: str, window: Window) -> str:
    """The name of a limit that was given none, like `total_tokens/month` or `user/total_tokens/month`."""
    return "/".join(part for part in (level if level != LevelKind.RUN else "", meter, window.value) if part)


def multiplied(amount: Decimal, multiplier: Decimal) -> Decimal:
    """The exact product down to 18 decimal places; what is positive never becomes zero, which would be no limit."""
    product = _WIDE.multiply(amount, multiplier)
    exponent = product.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -18:
        product = max(product.quantize(_LEAST, rounding=ROUND_DOWN, context=_WIDE), _LEAST)
    return Decimal(plain(product))


_TOKENS_A_MONTH: Final = {"hobby": 50_000, "starter": 2_500_000, "business": 5_000_000, "enterprise": 10_000_000}


def shipped_plans(valid_from: datetime) -> tuple[tuple[QuotaPlan, ...], tuple[Limit, ...]]:
    """The examples: tokens by month, multiplier 1."""
    plans = tuple(QuotaPlan(name, valid_from, name.capitalize(), added_by=SHIPPED) for name in _TOKENS_A_MONTH)
    limit_id = limit_id_of("", "total_tokens", Window.MONTH)
    limits = tuple(
        Limit(name, limit_id, valid_from, "total_tokens", Window.MONTH, Decimal(tokens), added_by=SHIPPED)
        for name, tokens in _TOKENS_A_MONTH.items()
    )
    return plans, limits
