"""Use and cost as every answer has them. A sum of cost stands beside the counts of what it lacks."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from taximeter_consumers.api.models.wire import Amount, Usd, Wire


class CostSource(StrEnum):
    """Where a cost comes from."""

    NONE = "none"
    PRICED = "priced"
    REPORTED = "reported"
    MIXED = "mixed"
    UNPRICED = "unpriced"
    UNMEASURED = "unmeasured"


class Usage(Wire):
    """What was used. Input includes cache reads and writes, output includes reasoning."""

    executions: int = Field(description="Node attempts")
    duration_us: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    total_tokens: int
    http_requests: int
    http_bytes_out: int
    http_bytes_in: int
    http_errors: int
    plugin_invocations: int
    cpu_us: int


class FullUsage(Usage):
    """The same with what only single runs and nodes have."""

    audio_ms: int
    characters: int
    images: int
    custom_units: dict[str, Amount] = Field(description="Units of plugins")
    ai_units: dict[str, int] = Field(description="Further counts of calls of models")
    max_rss_bytes: int = Field(description="The highest peak of memory")


class Cost(Wire):
    """What is known of the cost, and beside it what it lacks."""

    cost_usd: Usd
    cost_source: CostSource
    model_cost_usd: Usd = Field(description="Of costUsd: calls of models")
    plugin_cost_usd: Usd = Field(description="Of costUsd: units of plugins")
    resource_cost_usd: Usd = Field(description="Of costUsd: CPU time, HTTP and executions, where they have a price")
    adjusted_cost_usd: Usd = Field(description="Of costUsd: by re-rating, after the first price")
    reported_cost_usd: Usd = Field(description="Of costUsd: stated by the provider")
    estimated_cost_usd: Usd = Field(description="Of costUsd: of uses that were estimated or seen in part")
    ai_calls: int = Field(description="Events that used a model")
    reported_calls: int
    priced_calls: int
    unpriced_calls: int = Field(description="Of aiCalls: no price is known, so costUsd lacks them")
    unmeasured_calls: int = Field(description="Of aiCalls: the use is not known, so costUsd lacks them")
    estimated_calls: int
    plugin_uses: int
    unpriced_plugins: int = Field(description="Of pluginUses: a unit without a price, so costUsd lacks them")


class Outcomes(Wire):
    """How attempts ended."""

    successes: int
    errors: int
    timeouts: int
    cancellations: int


class Spent(Wire):
    """Where the money of attempts went; each dollar is in one of the first four."""

    useful_cost_usd: Usd
    retried_cost_usd: Usd
    failed_cost_usd: Usd
    cancelled_cost_usd: Usd
    wasted_cost_usd: Usd = Field(description="Retried, failed and cancelled together")
