"""Usage, event by event, and its sums."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field, model_validator

from taximeter_consumers.api.inputs import Cursor, Moment, Name
from taximeter_consumers.api.models.measures import CostSource
from taximeter_consumers.api.models.summary import in_order
from taximeter_consumers.api.models.wire import Amount, Asked, Instant, Usd, Wire
from taximeter_schemas.words import Context


class UsageFilter(Asked):
    """Which usage."""

    account_id: Name | None = None
    user_id: Name | None = None
    workflow_id: Name | None = None
    provider: Name | None = None
    model: Name | None = None
    context: Context | None = None
    external_id: Name | None = Field(None, description="The tag external_id")
    transaction_id: Name | None = None
    run_id: Name | None = None
    since: Moment | None = Field(None, alias="from", description="By when the use ended, inclusive")
    until: Moment | None = Field(None, description="Exclusive")

    @model_validator(mode="after")
    def _in_order(self) -> UsageFilter:
        in_order(self.since, self.until)
        return self


class UsageQuery(UsageFilter):
    """Which usage, and which page of it."""

    cursor: Cursor | None = Field(None, description="nextCursor of the page before")
    limit: int = Field(100, ge=1, le=500)
    summary: bool = Field(False, description="Whether the sums of all pages are in the answer, too")


class UsageRecord(Wire):
    """One event: what one attempt of one node used, or one call of it."""

    event_id: UUID
    occurred_at: Instant
    account_id: str
    user_id: str
    project_id: str
    workflow_id: str
    run_id: str
    node_id: str
    node_type: str
    attempt: int
    context: str
    transaction_id: str
    external_id: str = Field(description="The tag external_id; empty without one")
    tags: dict[str, str]
    outcome: str
    executions: int
    duration_us: int
    provider: str
    model: str
    usage_type: str = Field(description="text, embedding, audio_stt, audio_tts, image; empty where no model was used")
    service_tier: str
    quality: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    total_tokens: int
    audio_ms: int
    characters: int
    images: int
    http_requests: int
    plugin_id: str
    plugin_invocations: int
    custom_units: dict[str, Amount]
    cpu_us: int
    cost_usd: Usd = Field(description="What is known of the cost")
    cost_source: CostSource = Field(description="unpriced and unmeasured: it is not known, and not 0")


class UsageSums(Wire):
    """Sums with what they lack."""

    executions: int
    ai_calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    total_tokens: int
    cost_usd: Usd
    estimated_cost_usd: Usd
    unpriced_calls: int = Field(description="Not in costUsd: no price is known")
    unmeasured_calls: int = Field(description="Not in costUsd: the use is not known")
    unpriced_plugins: int = Field(description="Not in costUsd: plugins' units without a price")


class TotalSums(UsageSums):
    """Everything."""

    events: int


class ModelSums(UsageSums):
    """One model: its calls alone."""

    provider: str
    model: str


class ContextSums(UsageSums):
    """One context: customer, or system for the platform's own work."""

    context: str


class UsageSummaryAnswer(Wire):
    """Total cost and tokens, by model and by context."""

    total: TotalSums
    by_model: list[ModelSums] = Field(description="The dearest first; at most 1,000")
    by_context: list[ContextSums]


class UsagePage(Wire):
    """A page, the newest first."""

    usage: list[UsageRecord]
    next_cursor: str | None = Field(description="Null on the last page")
    summary: UsageSummaryAnswer | None = Field(None, description="With summary=true")
