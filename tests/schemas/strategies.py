"""Hypothesis strategies: every event that the schema allows."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import strategies as st

from taximeter_schemas.event import (
    AiUsage,
    CodeUsage,
    Context,
    HttpUsage,
    Kind,
    MeterEvent,
    Outcome,
    PluginUsage,
    Quality,
    UsageType,
)
from taximeter_schemas.uuid7 import compose

counts = st.integers(-(2**63) + 1, 2**63 - 1)
small_counts = st.integers(-(2**31) + 1, 2**31 - 1)
words = st.text(max_size=20)
word_maps = st.dictionaries(words, words, max_size=3)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given a zone
# Ids of the years 1970 to 9999; the 48 bits reach further, and those are refused.
event_ids = st.builds(compose, st.integers(0, 253_402_300_799_999), st.binary(min_size=10, max_size=10))


def decimals(scale: int) -> st.SearchStrategy[Decimal]:
    """Every amount of this scale that 38 digits hold."""
    return st.integers(-(10**38) + 1, 10**38 - 1).map(lambda digits: Decimal(f"{digits}E-{scale}"))


ai_uses = st.builds(
    AiUsage,
    provider=words,
    model=words,
    usage_type=st.sampled_from(UsageType),
    **dict.fromkeys(
        (
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "reasoning_tokens",
            "total_tokens",
            "audio_ms",
            "characters",
            "images",
        ),
        counts,
    ),
    response_id=words,
    reported_cost=st.none() | decimals(12),
    quality=st.sampled_from(Quality),
    service_tier=words,
    units=st.dictionaries(words, counts, max_size=3),
)

events = st.builds(
    MeterEvent,
    **dict.fromkeys(
        (
            "account_id",
            "user_id",
            "project_id",
            "workflow_id",
            "run_id",
            "parent_run_id",
            "thread_id",
            "transaction_id",
            "node_id",
            "node_type",
            "agent_name",
            "breach_reason",
            "error_message",
            "description",
        ),
        words,
    ),
    context=st.sampled_from(Context),
    tags=word_maps,
    event_id=event_ids,
    occurred_at=moments,
    kind=st.sampled_from(Kind),
    attempt=small_counts,
    outcome=st.sampled_from(Outcome),
    memory_breaches=small_counts,
    timeout_breaches=small_counts,
    executions=counts,
    duration_us=counts,
    ai=st.none() | ai_uses,
    http=st.none() | st.builds(HttpUsage, requests=counts, bytes_out=counts, bytes_in=counts, errors=counts),
    plugin=st.none()
    | st.builds(
        PluginUsage,
        plugin_id=words,
        invocations=counts,
        custom_units=st.dictionaries(words, decimals(9), max_size=3),
    ),
    code=st.none() | st.builds(CodeUsage, cpu_us=counts, max_rss_bytes=counts),
    provider_metadata=word_maps,
)
