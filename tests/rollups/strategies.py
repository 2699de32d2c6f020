"""Random events: small pools of names so that keys meet, all kinds of use, ids and times that disagree."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from hypothesis import strategies as st
from tests.rollups.rows import EPOCH

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

NAMES = [
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini-2024-07-18"),
    ("azure", "o3"),
    ("anthropic", "claude-3-5-haiku-20241022"),
    ("openai", "text-embedding-3-small"),
    ("house", "llm-1"),
]
COUNT = st.integers(-20, 10_000)


@st.composite
def ai_usages(draw: st.DrawFn) -> AiUsage:
    """One call: known and unknown models, every quality, sometimes a stated cost."""
    provider, model = draw(st.sampled_from(NAMES))
    cents = draw(st.none() | st.integers(0, 10**6))
    return AiUsage(
        provider=provider,
        model=model,
        usage_type=draw(st.sampled_from([UsageType.TEXT, UsageType.EMBEDDING])),
        input_tokens=draw(COUNT),
        output_tokens=draw(COUNT),
        cache_read_tokens=draw(st.sampled_from([0, 0, 7, 5000])),
        cache_write_tokens=draw(st.sampled_from([0, 0, 11])),
        reasoning_tokens=draw(st.integers(0, 5)),
        images=draw(st.sampled_from([0, 0, 0, 1])),
        reported_cost=None if cents is None else Decimal(cents).scaleb(-12),
        quality=draw(st.sampled_from(list(Quality))),
        service_tier=draw(st.sampled_from(["", "", "batch", "priority"])),
        units=draw(st.sampled_from([{}, {}, {"input_audio_tokens": 3}, {"requests": 2, "web_searches": 1}])),
    )


@st.composite
def events(draw: st.DrawFn) -> MeterEvent:
    """One event without an account: runs over several days of ids, payload times near or far from the id's."""
    born = EPOCH + timedelta(
        milliseconds=draw(st.sampled_from([0, 1, 59_000, 61_000, 3_600_000, 90_000_000, 2_000_000_000]))
    )
    occurred = born + timedelta(microseconds=draw(st.sampled_from([0, 1, 59_999_999, -3_600_000_000, 10**12])))
    return MeterEvent(
        run_id=draw(st.sampled_from(["r1", "r2", "r3"])),
        node_id=draw(st.sampled_from(["n1", "n2"])),
        user_id=draw(st.sampled_from(["ada", "bob"])),
        project_id=draw(st.sampled_from(["p", ""])),
        workflow_id=draw(st.sampled_from(["w1", "w2"])),
        event_id=compose(int(born.timestamp() * 1000), draw(st.binary(min_size=10, max_size=10))),
        occurred_at=occurred,
        kind=draw(st.sampled_from([Kind.NODE, Kind.USAGE, Kind.ADJUSTMENT])),
        transaction_id=draw(st.sampled_from(["", "t1", "t2"])),
        context=draw(st.sampled_from([Context.CUSTOMER, Context.CUSTOMER, Context.SYSTEM])),
        tags=draw(st.sampled_from([{}, {"key_id": "k1"}, {"other": "x"}])),
        node_type=draw(st.sampled_from(["", "code"])),
        attempt=draw(st.integers(1, 3)),
        outcome=draw(st.sampled_from(list(Outcome))),
        executions=draw(st.sampled_from([0, 1])),
        duration_us=draw(st.sampled_from([0, -5, 123_456_789])),
        memory_breaches=draw(st.integers(0, 1)),
        ai=draw(st.none() | ai_usages()),
        http=draw(st.none() | st.builds(HttpUsage, requests=COUNT, bytes_out=COUNT, errors=COUNT)),
        plugin=draw(
            st.none()
            | st.builds(
                PluginUsage,
                plugin_id=st.sampled_from(["ocr", "other"]),
                invocations=COUNT,
                custom_units=st.sampled_from([{}, {"page": Decimal("0.000000001")}, {"page": Decimal("-0.000000001")}]),
            )
        ),
        code=draw(st.none() | st.builds(CodeUsage, cpu_us=COUNT, max_rss_bytes=st.integers(0, 2**40))),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[list[MeterEvent], bool]]:
    """Batches in order of arrival, each with whether a tick follows. Copies of earlier events, some altered, are among
    them."""
    history: list[tuple[list[MeterEvent], bool]] = []
    seen: list[MeterEvent] = []
    for _ in range(draw(st.integers(1, 3))):
        batch = draw(st.lists(events(), min_size=1, max_size=8))
        if seen:
            for copy in draw(st.lists(st.sampled_from(seen), max_size=3)):
                changes = {"run_id": "r2", "user_id": "eve", "occurred_at": EPOCH, "ai": None, "transaction_id": "t3"}
                altered = copy.model_copy(update=changes)
                batch.append(draw(st.sampled_from([copy, altered])))
        seen += batch
        history.append((batch, draw(st.booleans())))
    return history
