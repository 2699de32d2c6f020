"""`GET /v1/usage` and `GET /v1/usage/summary`: usage event by event, and its sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query

from taximeter_consumers.api.access import Caller, Reader, Using
from taximeter_consumers.api.models.usage import (
    ContextSums,
    ModelSums,
    TotalSums,
    UsageFilter,
    UsagePage,
    UsageQuery,
    UsageRecord,
    UsageSummaryAnswer,
)
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.reads.usage_filter import EXTERNAL_ID, UsageAsked
from taximeter_consumers.api.reads.usage_page import usage_page
from taximeter_consumers.api.reads.usage_sums import usage_sums

if TYPE_CHECKING:
    from taximeter_consumers.api.reads.priced_events import Priced
    from taximeter_consumers.api.services import Services

router = APIRouter(prefix="/v1", tags=["usage"])
_EQUAL = ("user_id", "workflow_id", "provider", "model", "context", "transaction_id", "run_id")


@router.get("/usage", operation_id="listUsage", summary="Usage, event by event", responses=refusals("not-found"))
def list_usage(chosen: Annotated[UsageQuery, Query()], caller: Reader, services: Using) -> UsagePage:
    """Usage, the newest first. Pages are stable: what arrives meanwhile neither repeats nor skips another event.

    An event's cost is that of the last tick's prices. `summary=true` adds the sums over all pages.
    """
    asked = _asked(chosen, caller)
    found, following = usage_page(services.reads.get(), services.books, asked, chosen.cursor, chosen.limit)
    summary = _summary(services, asked) if chosen.summary else None
    return UsagePage(usage=[_record(event) for event in found], next_cursor=following, summary=summary)


@router.get("/usage/summary", operation_id="sumUsage", summary="Total cost and tokens", responses=refusals("not-found"))
def sum_usage(chosen: Annotated[UsageFilter, Query()], caller: Reader, services: Using) -> UsageSummaryAnswer:
    """Total cost and tokens, by model and by context, beside what they lack.

    Whole hours without a further filter come from the rollups at once; anything else is summed up from single events,
    so name an account and dates.
    """
    return _summary(services, _asked(chosen, caller))


def _asked(chosen: UsageFilter, caller: Caller) -> UsageAsked:
    account = caller.account(chosen.account_id)
    given = {name: str(value) for name in _EQUAL if (value := getattr(chosen, name)) is not None}
    return UsageAsked(
        given | ({"account_id": account} if account else {}), chosen.external_id, chosen.since, chosen.until
    )


def _summary(services: Services, asked: UsageAsked) -> UsageSummaryAnswer:
    sums = usage_sums(services.reads.get(), services.books, asked)
    return UsageSummaryAnswer(
        total=TotalSums.model_validate(sums.total),
        by_model=[ModelSums.model_validate(row) for row in sums.by_model],
        by_context=[ContextSums.model_validate(row) for row in sums.by_context],
    )


def _record(event: Priced) -> UsageRecord:
    said = {"cost_usd": event.cost_usd, "cost_source": event.cost_source}
    return UsageRecord.model_validate({**event.row, **said, "external_id": event.row["tags"].get(EXTERNAL_ID, "")})
