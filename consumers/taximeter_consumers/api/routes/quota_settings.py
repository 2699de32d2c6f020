"""`/v1/quota-plans`, `/v1/quota-assignments`, `/v1/quota-add-ons`: what is limited. Read by everybody for his own
account, changed by operators alone. The quota service takes a change up within seconds.

Each change is one row that is appended; the same one again changes nothing, and a crash leaves all or nothing of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query

from taximeter_consumers.api.access import Caller, Operator, Reader, Using
from taximeter_consumers.api.models.account import AccountAsked
from taximeter_consumers.api.models.quota_settings import (
    AddOnAnswer,
    AddOnAsked,
    AddOnsAnswer,
    AssignmentAnswer,
    AssignmentAsked,
    AssignmentsAnswer,
    LevelAsked,
    LimitAnswer,
    LimitAsked,
    PlanAnswer,
    PlanAsked,
    PlanId,
    PlansAnswer,
)
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.problems import Problem
from taximeter_consumers.api.reads import quota_settings as stored
from taximeter_consumers.quota.plans import settings_change
from taximeter_consumers.quota.plans.assignments import AddOn, Assignment
from taximeter_consumers.quota.plans.named_level import Level, account, organisation
from taximeter_consumers.quota.plans.plans import Limit, limit_id_of
from taximeter_consumers.quota.plans.setting_rows import read_directory
from taximeter_consumers.quota.plans.windows import micros_of
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.limits import Action, Window
from taximeter_schemas.quota.subject import LevelKind

if TYPE_CHECKING:
    from taximeter_consumers.api.services import Services
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.quota.plans.directory import Directory
    from taximeter_consumers.quota.plans.plans import QuotaPlan

router = APIRouter(prefix="/v1", tags=["quotas"])
Plan = Annotated[PlanId, Path(alias="planId", description="The plan's name", examples=["starter"])]
_READ = refusals("not-found")
_CHANGE = refusals("unsupported-media-type")


@router.get("/quota-plans", operation_id="listQuotaPlans", summary="Plans and their limits", responses=_READ)
def list_plans(caller: Reader, services: Using) -> PlansAnswer:
    """For operators all plans; for an account's key those that it, or a part of it, has or had."""
    clickhouse = services.reads.get()
    directory, now = read_directory(clickhouse), micros_of(services.now())
    names = set(directory.plan_ids())
    if not caller.sees_all:
        own = caller.key.account_id
        names &= {row["plan_id"] for row in stored.assignments(clickhouse, own)} | {
            rule.plan_id for rule in directory.rules(account(own), now)
        }
    found = [directory.plan_at(name, now) for name in sorted(names)]
    return PlansAnswer(plans=[_plan(*one) for one in found if one is not None])


@router.post("/quota-plans/{planId}", operation_id="changeQuotaPlan", summary="Add or change a plan", responses=_CHANGE)
def change_plan(plan_id: Plan, asked: PlanAsked, caller: Operator, services: Using) -> PlanAnswer:
    """Adds a plan, or changes its name or multiplier from a time on; its limits stay."""
    changes = {name: value for name in ("name", "multiplier") if (value := getattr(asked, name)) is not None}
    at = asked.valid_from or services.now()
    clickhouse, directory = _to_change(services)
    try:
        settings_change.change_plan(clickhouse, directory, plan_id, {**changes, "added_by": _by(caller)}, at)
    except Misconfigured as error:
        raise _invalid(error) from None
    return _plan_at(clickhouse, plan_id, at)


@router.post(
    "/quota-plans/{planId}/limits", operation_id="setQuotaLimit", summary="Set a limit of a plan", responses=_CHANGE
)
def set_limit(plan_id: Plan, asked: LimitAsked, caller: Operator, services: Using) -> PlanAnswer:
    """Sets a limit of a plan from a time on. What was used in a window that has begun counts."""
    at = asked.valid_from or services.now()
    level = asked.level.value if asked.level else ("run" if asked.window is Window.RUN else "")
    clickhouse, directory = _to_change(services)
    try:
        limit = Limit(
            plan_id,
            asked.limit_id or limit_id_of(level, asked.meter, asked.window),
            at,
            asked.meter,
            asked.window,
            asked.amount,
            level=level,
            hard=asked.hard,
            action=Action.DEGRADE if asked.degrade_to else Action.BLOCK,
            degrade_to=asked.degrade_to,
            on_outage=asked.on_outage,
            thresholds=tuple(sorted(asked.thresholds)),
            added_by=_by(caller),
        )
        settings_change.add_limit(clickhouse, directory, limit)
    except Misconfigured as error:
        raise _invalid(error) from None
    return _plan_at(clickhouse, plan_id, at)


@router.get("/quota-assignments", operation_id="listQuotaAssignments", summary="Who has which plan", responses=_READ)
def list_assignments(chosen: Annotated[AccountAsked, Query()], caller: Reader, services: Using) -> AssignmentsAnswer:
    """Of an account and its projects, users and keys; for operators who name none, of everybody. At most 10,000."""
    rows = stored.assignments(services.reads.get(), caller.account(chosen.account_id))
    return AssignmentsAnswer(
        assignments=[AssignmentAnswer.model_validate({**row, "plan_id": row["plan_id"] or None}) for row in rows]
    )


@router.post("/quota-assignments", operation_id="assignQuotaPlan", summary="Give a plan", responses=_CHANGE)
def assign(asked: AssignmentAsked, caller: Operator, services: Using) -> AssignmentAnswer:
    """Gives an account, a project, user or key of it, or an organisation, a plan from a time on."""
    row = Assignment(_level(asked), asked.valid_from or services.now(), asked.plan_id or "", _by(caller))
    try:
        settings_change.assign(*_to_change(services), row)
    except Misconfigured as error:
        raise _invalid(error) from None
    return AssignmentAnswer(level=row.level.key, plan_id=asked.plan_id, valid_from=row.valid_from)


@router.get("/quota-add-ons", operation_id="listQuotaAddOns", summary="What was bought", responses=_READ)
def list_add_ons(chosen: Annotated[AccountAsked, Query()], caller: Reader, services: Using) -> AddOnsAnswer:
    """Of an account and its projects, users and keys; for operators who name none, of everybody. At most 10,000."""
    rows = stored.add_ons(services.reads.get(), caller.account(chosen.account_id))
    return AddOnsAnswer(add_ons=[AddOnAnswer.model_validate(row) for row in rows])


@router.post("/quota-add-ons", operation_id="addQuotaAddOn", summary="Raise a month's limit", responses=_CHANGE)
def add_on(asked: AddOnAsked, caller: Operator, services: Using) -> AddOnAnswer:
    """Raises the limits by month of a meter by what was bought. The same addOnId again replaces it."""
    starts_at = asked.starts_at or services.now()
    try:
        row = AddOn(
            asked.add_on_id, _level(asked), asked.meter, asked.amount, starts_at, asked.ends_at, asked.reason,
            _by(caller),
        )  # fmt: skip
        settings_change.add_on(services.to_write.get(), row)
    except Misconfigured as error:
        raise _invalid(error) from None
    return AddOnAnswer.model_validate({**vars(row), "level": row.level.key})


def _to_change(services: Services) -> tuple[ClickHouse, Directory]:
    clickhouse = services.to_write.get()
    return clickhouse, read_directory(clickhouse)


def _plan_at(clickhouse: ClickHouse, plan_id: str, at: datetime) -> PlanAnswer:
    return _plan(*settings_change.existing_plan(read_directory(clickhouse), plan_id, at))


def _plan(plan: QuotaPlan, limits: tuple[Limit, ...]) -> PlanAnswer:
    return PlanAnswer(
        plan_id=plan.plan_id,
        name=plan.name,
        multiplier=plan.multiplier,
        limits=[LimitAnswer.model_validate({**vars(limit), "thresholds": list(limit.thresholds)}) for limit in limits],
    )


def _level(asked: LevelAsked) -> Level:
    if asked.organisation_id is not None:
        return organisation(asked.organisation_id)
    whose = asked.account_id or ""
    narrower = {LevelKind.PROJECT: asked.project_id, LevelKind.USER: asked.user_id, LevelKind.KEY: asked.key_id}
    return next((Level(kind, whose, name) for kind, name in narrower.items() if name is not None), account(whose))


def _by(caller: Caller) -> str:
    return f"key {caller.key.key_id}"


def _invalid(error: Misconfigured) -> Problem:
    return Problem("invalid", error.mend)
