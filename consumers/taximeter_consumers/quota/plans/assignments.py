"""Who has which plan, what was bought beside it, and which account belongs to which organisation. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from taximeter_consumers.quota.plans.named_level import Level
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.meters import known_amount, known_meter
from taximeter_schemas.quota.subject import LevelKind

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Assignment:
    """One dated row: from `valid_from` on `level` has the plan; an empty `plan_id`: none."""

    level: Level
    valid_from: datetime
    plan_id: str
    added_by: str = ""

    def __post_init__(self) -> None:
        if self.level.kind is LevelKind.RUN:
            raise Misconfigured(
                "a run gets no plan of its own", mend="put a limit of each run into the plan of its account"
            )


@dataclass(frozen=True)
class AddOn:
    """Raises the limits by month of one meter at `level` by `amount`, from `starts_at` on and before `ends_at` (None:
    no end). The same `add_on_id` again replaces the row: that is how one is ended."""

    add_on_id: str
    level: Level
    meter: str
    amount: Decimal
    starts_at: datetime
    ends_at: datetime | None = None
    reason: str = ""
    added_by: str = ""

    def __post_init__(self) -> None:
        try:
            known_amount(known_meter(self.meter), self.amount)
        except ValueError as error:
            raise Misconfigured(f"add-on {self.add_on_id}: {error}", mend="correct the meter or the amount") from None
        if self.level.kind is LevelKind.RUN:
            raise Misconfigured(f"add-on {self.add_on_id}: a run has no month", mend="name an account or what is in it")

    def holds_at(self, moment: datetime) -> bool:
        """Whether it counts then."""
        return self.starts_at <= moment and (self.ends_at is None or moment < self.ends_at)


@dataclass(frozen=True)
class Membership:
    """One dated row: from `valid_from` on the account belongs to the organisation; empty: to none. By minutes, as use
    is summed: what the account used before counts for the organisation no more than what it uses afterwards."""

    account_id: str
    valid_from: datetime
    organisation_id: str
    added_by: str = ""

    def __post_init__(self) -> None:
        if (self.valid_from - _EPOCH).total_seconds() % 60:
            raise Misconfigured(
                f"account {self.account_id}: an organisation begins and ends with a minute",
                mend="leave out seconds and what is finer",
            )
