"""`GET /api/metering/summary`: cost and use by who and what, over time."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from taximeter_consumers.api.access import Reader, Using
from taximeter_consumers.api.models.measures import Cost, Outcomes, Usage
from taximeter_consumers.api.models.summary import Summary, SummaryQuery, SummaryRow
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.reads.summary import COLUMNS, Question, ask, whole_hours

router = APIRouter(prefix="/api/metering", tags=["metering"])
_FILTERS = ("user_id", "project_id", "workflow_id", "context", "provider", "model", "node_type")


@router.get(
    "/summary",
    operation_id="summarise",
    summary="Cost and use, grouped",
    responses=refusals("not-found"),
    response_model_exclude_unset=True,
)
def summarise(chosen: Annotated[SummaryQuery, Query()], caller: Reader, services: Using) -> Summary:
    """Sums of the rollups, grouped by up to four dimensions and by hour, day or month of UTC.

    Users, projects, workflows, contexts and qualities go together; so do providers, models and usage types; so do
    users, workflows, node types and nodes. Each goes with accounts.
    """
    account = caller.account(chosen.account_id)
    given = {name: value for name in _FILTERS if (value := getattr(chosen, name)) is not None}
    since, until = whole_hours(chosen.since, chosen.until)
    columns = list(dict.fromkeys(COLUMNS[dimension] for dimension in chosen.group_by))
    equals = given | ({"account_id": account} if account else {})
    question = Question(columns, equals, chosen.granularity, since, until, chosen.limit)
    rollup, rows = ask(services.reads.get(), question)
    return Summary(
        since=since,
        until=until,
        counted_by=rollup.by,
        rows=[_row(row, columns) for row in rows[: chosen.limit]],
        has_more=len(rows) > chosen.limit,
    )


def _row(row: dict[str, Any], columns: list[str]) -> SummaryRow:
    keys = {name: row[name] for name in (*columns, "period") if name in row}
    return SummaryRow(
        **keys,
        events=row["events"],
        outcomes=Outcomes.model_validate(row),
        usage=Usage.model_validate(row),
        cost=Cost.model_validate(row),
    )
