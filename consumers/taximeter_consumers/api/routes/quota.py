"""`POST /v1/quota/check` and `GET /v1/quota/{subject}`: whether work may be done, and how limits stand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from taximeter_consumers.api.access import Reader, Using
from taximeter_consumers.api.inputs import Name
from taximeter_consumers.api.models.quota import CheckAnswer, CheckAsked, QuotaAnswer, SubjectAsked
from taximeter_consumers.api.models.wire import Asked
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.reservations import hold_of, known_at, standing_of, subject_of, unexpected
from taximeter_consumers.api.routes.reservations import the_account
from taximeter_schemas.quota.answers import Status
from taximeter_schemas.quota.wording import explained

router = APIRouter(prefix="/v1/quota", tags=["quotas"])


class Narrower(Asked):
    """A part of the account."""

    project_id: Name | None = None
    user_id: Name | None = None
    key_id: Name | None = None
    run_id: Name | None = None


@router.post(
    "/check",
    operation_id="checkQuota",
    summary="Whether amounts could be used",
    responses=refusals("not-found", "conflict", "unsupported-media-type"),
)
def check(asked: CheckAsked, caller: Reader, services: Using) -> CheckAnswer:
    """Whether amounts could be reserved now, and if not, which limit has no room. Nothing is held."""
    account = the_account(caller, asked.account_id)
    answer = services.asker.check(subject_of(asked, account), asked.amounts)
    if not answer.is_granted and answer.status is not Status.DENIED:
        raise unexpected(answer)
    refused = answer.refused_by
    return CheckAnswer(
        allowed=answer.is_granted,
        reason=explained(refused) if refused else answer.reason,
        degrade_to=answer.degrade_to,
        refused_by=standing_of(refused) if refused else None,
        warnings=[standing_of(one) for one in answer.warnings],
        as_of=known_at(answer),
    )


@router.get("/{subject}", operation_id="readQuota", summary="Limits and use", responses=refusals("not-found"))
def read_quota(
    subject: Annotated[Name, Path(description="The account", examples=["acme"])],
    chosen: Annotated[Narrower, Query()],
    caller: Reader,
    services: Using,
) -> QuotaAnswer:
    """Each limit that counts for an account, or for a project, user, key or run of it: used, reserved, left, and when
    it resets."""
    account = the_account(caller, subject)
    answer = services.asker.show(subject_of(SubjectAsked.model_validate(chosen.model_dump(by_alias=True)), account))
    if answer.status is not Status.SHOWN:
        raise unexpected(answer)
    return QuotaAnswer(
        account_id=account,
        standings=[standing_of(one) for one in answer.standings],
        reservations=[hold_of(one) for one in answer.holds],
        more_reservations=answer.hidden_holds > 0,
        as_of=known_at(answer),
    )
