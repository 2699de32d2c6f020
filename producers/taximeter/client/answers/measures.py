"""Use and cost. A sum of cost stands beside the counts of what it lacks."""

from __future__ import annotations

from decimal import Decimal

from taximeter.client.answers.wire import Answered, Usd


class Used(Answered):
    """What was used. Input includes cache reads and writes, output includes reasoning; times in microseconds."""

    executions: int
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


class FullyUsed(Used):
    """The same with what only single runs and nodes have."""

    audio_ms: int
    characters: int
    images: int
    custom_units: dict[str, Decimal]
    ai_units: dict[str, int]
    max_rss_bytes: int


class Cost(Answered):
    """What is known of the cost, and what it lacks: calls that are unpriced or unmeasured are not in `cost_usd`."""

    cost_usd: Usd
    cost_source: str
    model_cost_usd: Usd
    plugin_cost_usd: Usd
    resource_cost_usd: Usd
    adjusted_cost_usd: Usd
    reported_cost_usd: Usd
    estimated_cost_usd: Usd
    ai_calls: int
    reported_calls: int
    priced_calls: int
    unpriced_calls: int
    unmeasured_calls: int
    estimated_calls: int
    plugin_uses: int
    unpriced_plugins: int


class Outcomes(Answered):
    """How attempts ended."""

    successes: int
    errors: int
    timeouts: int
    cancellations: int


class Spent(Answered):
    """Where the money of attempts went; `wasted_cost_usd` is retried, failed and cancelled together."""

    useful_cost_usd: Usd
    retried_cost_usd: Usd
    failed_cost_usd: Usd
    cancelled_cost_usd: Usd
    wasted_cost_usd: Usd
