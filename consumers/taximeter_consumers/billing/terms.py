"""How an account is billed, as dated rows, and which of them count for a period. Values only.

A row holds from its own instant until the next one begins. What is in force when a billing period begins counts for the
whole of that period, so a change never splits one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FIRST_ANCHOR_DAY: Final = 1
LAST_ANCHOR_DAY: Final = 28
GRACE_HOURS: Final = 24
CURRENCY: Final = "USD"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Terms:
    """One dated row of an account. `anchor_day` and `time_zone` say when its billing periods begin, `grace_hours` how
    long after its end one is closed, `name` and `address` to whom the invoice goes."""

    account_id: str
    valid_from: datetime
    plan_id: str = ""
    anchor_day: int = FIRST_ANCHOR_DAY
    time_zone: str = "UTC"
    grace_hours: int = GRACE_HOURS
    name: str = ""
    address: str = ""
    currency: str = CURRENCY

    def __post_init__(self) -> None:
        if not FIRST_ANCHOR_DAY <= self.anchor_day <= LAST_ANCHOR_DAY:
            raise Misconfigured(
                f"account {self.account_id}: a billing period cannot begin on day {self.anchor_day}",
                mend="choose a day from 1 to 28",
            )
        if self.grace_hours < 0:
            raise Misconfigured(
                f"account {self.account_id}: a grace period cannot be negative", mend="give hours from 0 on"
            )
        if self.currency != CURRENCY:
            raise Misconfigured(
                f"account {self.account_id}: amounts are in {CURRENCY}, not {self.currency}",
                mend=f"leave the currency {CURRENCY}",
            )


@dataclass(frozen=True)
class Plan:
    """One dated row of a plan: its fee for a billing period, and up to which amount usage is included in it."""

    plan_id: str
    valid_from: datetime
    name: str
    fee_usd: Decimal
    included_usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class AddOn:
    """What an account pays for each period that begins from `starts_at` on and before `ends_at` (None: no end)."""

    account_id: str
    name: str
    starts_at: datetime
    fee_usd: Decimal
    ends_at: datetime | None = None


@dataclass(frozen=True)
class Credit:
    """What an account has to its good, for periods that end after `granted_at` and begin before `expires_at`."""

    credit_id: str
    account_id: str
    amount_usd: Decimal
    granted_at: datetime
    expires_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True)
class BillingSettings:
    """All that is set for one account, and the plans that there are."""

    account_id: str
    terms: Sequence[Terms] = ()
    plans: Sequence[Plan] = ()
    add_ons: Sequence[AddOn] = ()
    credits: Sequence[Credit] = field(default=())

    def terms_at(self, moment: datetime) -> Terms:
        """What is in force at `moment`; the default where nothing is set."""
        return in_force(self.terms, moment) or Terms(self.account_id, EPOCH)

    def plan_at(self, moment: datetime) -> Plan | None:
        """The plan in force at `moment`. Raises Misconfigured where the account has one that does not exist then."""
        plan_id = self.terms_at(moment).plan_id
        if not plan_id:
            return None
        plan = in_force([plan for plan in self.plans if plan.plan_id == plan_id], moment)
        if plan is None:
            raise Misconfigured(
                f"account {self.account_id} has the plan {plan_id}, which does not exist on {moment:%Y-%m-%d %H:%M}",
                mend=f"add it by `taximeter billing plan {plan_id} --fee ...`",
            )
        return plan

    def add_ons_at(self, moment: datetime) -> list[AddOn]:
        """The add-ons in force at `moment`, by name."""
        held = [add_on for add_on in self.add_ons if add_on.starts_at <= moment]
        return sorted(
            (add_on for add_on in held if add_on.ends_at is None or moment < add_on.ends_at),
            key=lambda add_on: (add_on.name, add_on.starts_at),
        )


class _Dated(Protocol):
    @property
    def valid_from(self) -> datetime: ...


D = TypeVar("D", bound=_Dated)


def in_force(rows: Iterable[D], moment: datetime) -> D | None:
    """The row that holds at `moment`: the last to begin at or before it."""
    return max((row for row in rows if row.valid_from <= moment), key=lambda row: row.valid_from, default=None)
