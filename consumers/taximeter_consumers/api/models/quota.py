"""Limits, reservations and what they are asked for."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field

from taximeter_consumers.api.inputs import Cursor, Name
from taximeter_consumers.api.models.wire import Amount, Asked, Instant, Wire
from taximeter_schemas.quota.commands import LONGEST_HOLD_SECONDS
from taximeter_schemas.quota.limits import Action, OnOutage, Window
from taximeter_schemas.quota.meters import METERS, known_amount, known_meter

_MOST_METERS: Final = 32


def _known(amounts: dict[str, Decimal]) -> dict[str, Decimal]:
    for meter, amount in amounts.items():
        try:
            known_amount(known_meter(meter), amount)
        except (ValueError, ArithmeticError):
            raise ValueError(
                f"meters are {', '.join(METERS)} and plugin_units.<unit>; an amount is from 0 to 10^18, and whole but"
                " for cost_usd and plugin_units"
            ) from None
    return amounts


Meters = Annotated[dict[Name, Decimal], Field(max_length=_MOST_METERS), AfterValidator(_known)]
"""Meter to amount."""
_EXAMPLE: Final[dict[str, Any]] = {"accountId": "acme", "userId": "ada", "amounts": {"total_tokens": 5000}}


class SubjectAsked(Asked):
    """Whose use."""

    account_id: Name | None = Field(None, description="For an account's key its own, which may be left out")
    project_id: Name | None = None
    user_id: Name | None = None
    key_id: Name | None = Field(None, description="The name of a key of the account, never the key")
    run_id: Name | None = None


class CheckAsked(SubjectAsked):
    """Whether amounts could be reserved now."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    amounts: Meters = Field(min_length=1)


class ReservationAsked(CheckAsked):
    """Amounts to hold before work begins."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_EXAMPLE, "ttlSeconds": 600}]})

    ttl_seconds: int | None = Field(
        None, ge=1, le=LONGEST_HOLD_SECONDS, description="After so many it is given back by itself"
    )


class HoldOf(Asked):
    """Whose reservation."""

    account_id: Name | None = Field(None, description="For an account's key its own; operators name it")


class ConfirmAsked(HoldOf):
    """What the work used."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"actual": {"total_tokens": 4200}}]})

    actual: Meters = Field(default_factory=dict, description="A reserved meter that is left out counts as wholly used")


class StandingAnswer(Wire):
    """How one limit of one level stands."""

    level: str = Field(description="Like account/acme or user/acme/ada; names are percent-encoded")
    plan_id: str
    limit_id: str
    meter: str
    window: Window
    hard: bool = Field(description="Whether it stops work; a soft one only warns")
    action: Action
    on_outage: OnOutage
    limit: Amount
    added: Amount = Field(description="By add-ons")
    used: Amount
    held: Amount = Field(description="Reserved")
    remaining: Amount
    percent: Amount = Field(description="Of what may be used, how much is; rounded down")
    lacking: int = Field(description="Calls without a known price or use, which `used` lacks")
    starts_at: Instant
    resets_at: Instant | None


class HoldState(StrEnum):
    """How a reservation stands."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"
    EXPIRED = "expired"


class Reservation(Wire):
    """A reservation. The events of its work carry `transactionId`."""

    reservation_id: str
    transaction_id: str
    account_id: str
    state: HoldState
    amounts: dict[str, Amount]
    expires_at: Instant | None
    degrade_to: str = Field("", description="Not empty: a limit is used up, do the work in this lesser way")
    warnings: list[StandingAnswer] = Field(default_factory=list, description="Soft limits that are passed")


class Settled(Wire):
    """What a confirmed or released reservation belongs to."""

    reservation_id: str
    transaction_id: str
    account_id: str
    state: HoldState


class CheckAnswer(Wire):
    """Whether the work may be done now; nothing is held, so another may be quicker."""

    allowed: bool
    reason: str = Field(description="Empty where it is allowed")
    degrade_to: str
    refused_by: StandingAnswer | None
    warnings: list[StandingAnswer]
    as_of: Instant | None = Field(description="As of when use is known")


class HoldAnswer(Wire):
    """A reservation that claims."""

    reservation_id: str
    state: HoldState
    amounts: dict[str, Amount]
    expires_at: Instant
    run_id: str


class QuotaAnswer(Wire):
    """Limits, use and reservations of a subject."""

    account_id: str
    standings: list[StandingAnswer] = Field(description="Of all its levels, the widest first; none: nothing is limited")
    reservations: list[HoldAnswer] = Field(description="Of its narrowest level, the newest last; at most 200")
    more_reservations: bool = Field(description="Whether there are older ones; GET /v1/reservations has them all")
    as_of: Instant | None


class ReservationsQuery(SubjectAsked):
    """Whose reservations, and which page of them."""

    cursor: Cursor | None = Field(None, description="nextCursor of the page before")
    limit: int = Field(50, ge=1, le=200)


class ReservationsPage(Wire):
    """The newest first."""

    reservations: list[HoldAnswer]
    next_cursor: str | None = Field(description="Null on the last page")
