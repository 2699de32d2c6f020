"""Runs as a list: the dearest or the latest first, page by page."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, model_validator

from taximeter_consumers.api.inputs import Cursor, Moment, Name
from taximeter_consumers.api.models.measures import Cost, Outcomes, Spent, Usage
from taximeter_consumers.api.models.summary import in_order
from taximeter_consumers.api.models.wire import Asked, Instant, Wire


class RunOrder(StrEnum):
    """Which runs come first."""

    COST = "cost"
    RECENT = "recent"


class RunsQuery(Asked):
    """Which runs."""

    account_id: Name | None = None
    user_id: Name | None = None
    workflow_id: Name | None = None
    context: Name | None = None
    since: Moment | None = Field(None, alias="from", description="When the run began, inclusive")
    until: Moment | None = Field(None, description="Exclusive")
    order: RunOrder = Field(RunOrder.RECENT, description="recent: by when they began; cost: the dearest first")
    cursor: Cursor | None = Field(None, description="nextCursor of the page before")
    limit: int = Field(50, ge=1, le=500)

    @model_validator(mode="after")
    def _in_order(self) -> RunsQuery:
        in_order(self.since, self.until)
        return self


class ListedRun(Wire):
    """One run; its numbers leave out its sub-runs, which are listed as runs of their own."""

    account_id: str
    run_id: str
    parent_run_id: str
    workflow_id: str
    user_id: str
    project_id: str
    context: str
    started_at: Instant
    ended_at: Instant
    events: int
    outcomes: Outcomes
    usage: Usage
    cost: Cost
    spent: Spent


class RunsPage(Wire):
    """A page."""

    runs: list[ListedRun]
    next_cursor: str | None = Field(description="Null on the last page")
