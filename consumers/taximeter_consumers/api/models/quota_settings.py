"""Plans, their limits, who has which plan, and what was bought beside it. Rows are dated and only ever appended."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from taximeter_consumers.api.inputs import Moment, Name
from taximeter_consumers.api.models.wire import Amount, Asked, Instant, Wire
from taximeter_schemas.quota.limits import DEFAULT_THRESHOLDS, Action, OnOutage, Window
from taximeter_schemas.quota.subject import LevelKind

PlanId = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
_FROM: Final = Field(None, description="From then on; without it, from now on")


class LimitAnswer(Wire):
    """A limit of a plan."""

    limit_id: str
    meter: str
    window: Window
    amount: Amount | None = Field(description="Before the multiplier; null or 0: no limit")
    level: str = Field(description="Empty: what the plan is assigned to, as a whole; else each of these by itself")
    hard: bool
    action: Action
    degrade_to: str
    on_outage: OnOutage
    thresholds: list[Amount] = Field(description="Percent at which alerts are raised")


class PlanAnswer(Wire):
    """A plan as it is now."""

    plan_id: str
    name: str
    multiplier: Amount = Field(description="Every limit is this many times")
    limits: list[LimitAnswer]


class PlansAnswer(Wire):
    """By name."""

    plans: list[PlanAnswer]


class PlanAsked(Asked):
    """A plan's name and multiplier; its limits stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Professional", "multiplier": "1.5"}]})

    name: Name | None = None
    multiplier: Decimal | None = Field(None, gt=0, le=10**9, decimal_places=9)
    valid_from: Moment | None = _FROM


class LimitAsked(Asked):
    """A limit. One of the same name is replaced; null or 0 ends it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"meter": "total_tokens", "amount": 5000000}]})

    meter: Name
    amount: Decimal | None = Field(ge=0, le=10**18)
    window: Window = Window.MONTH
    level: LevelKind | None = Field(None, description="Each of these by itself; null: what has the plan, as a whole")
    hard: bool = True
    degrade_to: Annotated[str, StringConstraints(max_length=256)] = ""
    on_outage: OnOutage = OnOutage.CLOSED
    thresholds: list[Annotated[Decimal, Field(gt=0, le=1_000)]] = Field(
        default_factory=lambda: list(DEFAULT_THRESHOLDS), max_length=20
    )
    limit_id: Name | None = Field(None, description="Without it, named by level, meter and window")
    valid_from: Moment | None = _FROM


class LevelAsked(Asked):
    """An account, or one project, user or key of it; or an organisation."""

    account_id: Name | None = None
    organisation_id: Name | None = None
    project_id: Name | None = None
    user_id: Name | None = None
    key_id: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> LevelAsked:
        narrower = [name for name in (self.project_id, self.user_id, self.key_id) if name is not None]
        if (self.account_id is None) == (self.organisation_id is None):
            raise ValueError("name either accountId or organisationId")
        if len(narrower) > 1 or (narrower and self.account_id is None):
            raise ValueError("name at most one of projectId, userId and keyId, of an account")
        return self


class AssignmentAsked(LevelAsked):
    """Who gets which plan."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"accountId": "acme", "planId": "starter"}]})

    plan_id: PlanId | None = Field(description="Null: none from then on")
    valid_from: Moment | None = _FROM


class AddOnAsked(LevelAsked):
    """What raises the limits by month of a meter."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"addOnId": "order-9", "accountId": "acme", "meter": "total_tokens", "amount": 100000}]
        }
    )

    add_on_id: Name = Field(description="The same again replaces it: so it is ended, or not added twice")
    meter: Name
    amount: Decimal = Field(ge=0, le=10**18)
    starts_at: Moment | None = Field(None, description="Without it, now")
    ends_at: Moment | None = Field(None, description="Null: until further notice, every month anew")
    reason: Annotated[str, StringConstraints(max_length=1_024)] = ""


class AssignmentAnswer(Wire):
    """From `validFrom` on the level has the plan."""

    level: str = Field(description="Like account/acme; names are percent-encoded")
    plan_id: str | None
    valid_from: Instant


class AssignmentsAnswer(Wire):
    """By level, the oldest first."""

    assignments: list[AssignmentAnswer]


class AddOnAnswer(Wire):
    """An add-on."""

    add_on_id: str
    level: str
    meter: str
    amount: Amount
    starts_at: Instant
    ends_at: Instant | None
    reason: str


class AddOnsAnswer(Wire):
    """By level, the oldest first."""

    add_ons: list[AddOnAnswer]
