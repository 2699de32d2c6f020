"""Cost and use summed by dimensions and time."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field, model_validator

from taximeter_consumers.api.inputs import Moment, Name
from taximeter_consumers.api.models.measures import Cost, Outcomes, Usage
from taximeter_consumers.api.models.wire import Asked, Instant, Wire


class Dimension(StrEnum):
    """What may be grouped by."""

    ACCOUNT = "account"
    USER = "user"
    PROJECT = "project"
    WORKFLOW = "workflow"
    CONTEXT = "context"
    QUALITY = "quality"
    PROVIDER = "provider"
    MODEL = "model"
    USAGE_TYPE = "usageType"
    NODE_TYPE = "nodeType"
    NODE = "node"


class Granularity(StrEnum):
    """Of which length a row's time is; periods are those of UTC."""

    ALL = "all"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class SummaryQuery(Asked):
    """Which use is summed, and how."""

    group_by: list[Dimension] = Field(
        default_factory=list, max_length=4, description="May be given again; none: one row for everything"
    )
    granularity: Granularity = Granularity.ALL
    since: Moment | None = Field(None, alias="from", description="Inclusive, taken back to a whole hour")
    until: Moment | None = Field(None, alias="until", description="Exclusive, taken on to a whole hour")
    account_id: Name | None = None
    user_id: Name | None = None
    project_id: Name | None = None
    workflow_id: Name | None = None
    context: Name | None = None
    provider: Name | None = None
    model: Name | None = None
    node_type: Name | None = None
    limit: int = Field(1_000, ge=1, le=10_000, description="The most rows of the answer")

    @model_validator(mode="after")
    def _in_order(self) -> SummaryQuery:
        in_order(self.since, self.until)
        return self


class SummaryRow(Wire):
    """One group. Members of dimensions that were not asked for are absent."""

    period: Instant | None = Field(None, description="When the hour, day or month begins")
    account_id: str | None = None
    user_id: str | None = None
    project_id: str | None = None
    workflow_id: str | None = None
    context: str | None = None
    quality: str | None = None
    provider: str | None = None
    model: str | None = None
    usage_type: str | None = None
    node_type: str | None = None
    node_id: str | None = None
    events: int
    outcomes: Outcomes
    usage: Usage
    cost: Cost


class Summary(Wire):
    """The answer: by time, then the dearest first."""

    since: Instant | None = Field(alias="from", description="What is covered: whole hours; null: from the beginning")
    until: Instant | None
    counted_by: str = Field(description="occurredAt: when a use ended; startedAt: when a node began (by node type)")
    rows: list[SummaryRow]
    has_more: bool = Field(description="Whether rows beyond the limit were left out")


def in_order(since: datetime | None, until: datetime | None) -> None:
    """Raises ValueError for a time that ends before it begins."""
    if since is not None and until is not None and until <= since:
        raise ValueError("until must be later than from")
