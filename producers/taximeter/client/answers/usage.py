"""Sums over use, and use event by event."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from pydantic import Field

from taximeter.client.answers.measures import Cost, Outcomes, Used
from taximeter.client.answers.wire import Answered, Usd


class SummaryRow(Answered):
    """One group. Dimensions that were not asked for are None."""

    period: datetime | None = None
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
    usage: Used
    cost: Cost


class Summary(Answered):
    """Rows by time, then the dearest first. `since` and `until` are what is covered, in whole hours."""

    since: datetime | None = Field(None, alias="from")
    until: datetime | None = None
    counted_by: str
    rows: tuple[SummaryRow, ...]
    has_more: bool


class UsageRecord(Answered):
    """One event: what one attempt of one node used, or one call of it. `cost_source` says whether the cost is known."""

    event_id: UUID
    occurred_at: datetime
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
    external_id: str
    tags: dict[str, str]
    outcome: str
    executions: int
    duration_us: int
    provider: str
    model: str
    usage_type: str
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
    custom_units: dict[str, Decimal]
    cpu_us: int
    cost_usd: Usd
    cost_source: str


class Sums(Answered):
    """Sums with the counts of what `cost_usd` lacks."""

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
    unpriced_calls: int
    unmeasured_calls: int
    unpriced_plugins: int


class TotalSums(Sums):
    """Everything."""

    events: int


class ModelSums(Sums):
    """One model: its calls alone."""

    provider: str
    model: str


class ContextSums(Sums):
    """One context: customer, or system for the platform's own work."""

    context: str


class UsageSummary(Answered):
    """Total cost and tokens, by model (the dearest first) and by context."""

    total: TotalSums
    by_model: tuple[ModelSums, ...]
    by_context: tuple[ContextSums, ...]


class UsagePage(Answered):
    """A page, the newest first. `summary` has the sums of all pages, where they were asked for."""

    usage: tuple[UsageRecord, ...]
    next_cursor: str | None
    summary: UsageSummary | None = None
