"""Spans of model calls become use, by the real OpenTelemetry SDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode, Tracer
from tests.bridges.node import in_node

from taximeter.bridges.opentelemetry import TaximeterSpans
from taximeter.testing import RecordedMeter, memory_meter
from taximeter_schemas.event import MeterEvent


@pytest.fixture
def tracer() -> Tracer:
    """A provider with our processor alone."""
    provider = TracerProvider()
    provider.add_span_processor(TaximeterSpans())
    return provider.get_tracer("test")


def one_event(tracer: Tracer, attributes: dict[str, Any]) -> MeterEvent:
    """What a node's event is after one span with these attributes."""
    with in_node() as recorded, tracer.start_as_current_span("call") as span:
        span.set_attributes(attributes)
    return recorded.only()


DIALECTS: dict[str, dict[str, Any]] = {
    "semconv": {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-4",
        "gen_ai.response.model": "claude-sonnet-4-20250514",
        "gen_ai.response.id": "msg_1",
        "gen_ai.usage.input_tokens": 113,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 100,
        "gen_ai.usage.cache_creation.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
    },
    "semconv, older": {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "anthropic",
        "gen_ai.response.model": "claude-sonnet-4-20250514",
        "gen_ai.response.id": "msg_1",
        "gen_ai.usage.prompt_tokens": 113,
        "gen_ai.usage.completion_tokens": 5,
        "gen_ai.usage.cache_read_input_tokens": 100,
        "gen_ai.usage.cache_creation_input_tokens": 3,
        "gen_ai.usage.reasoning_tokens": 2,
    },
    "OpenLLMetry": {
        "llm.request.type": "chat",
        "gen_ai.system": "Anthropic",
        "gen_ai.response.model": "claude-sonnet-4-20250514",
        "gen_ai.response.id": "msg_1",
        "llm.usage.prompt_tokens": 113,
        "llm.usage.completion_tokens": 5,
        "llm.usage.total_tokens": 118,
        "gen_ai.usage.cache_read_input_tokens": 100,
        "gen_ai.usage.cache_creation_input_tokens": 3,
        "gen_ai.usage.reasoning_tokens": 2,
    },
    "OpenInference": {
        "openinference.span.kind": "LLM",
        "llm.provider": "anthropic",
        "llm.model_name": "claude-sonnet-4-20250514",
        "gen_ai.response.id": "msg_1",
        "llm.token_count.prompt": 113,
        "llm.token_count.completion": 5,
        "llm.token_count.total": 118,
        "llm.token_count.prompt_details.cache_read": 100,
        "llm.token_count.prompt_details.cache_write": 3,
        "llm.token_count.completion_details.reasoning": 2,
    },
    "an instrumentation that leaves the cache out of the input": {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "anthropic",
        "gen_ai.response.model": "claude-sonnet-4-20250514",
        "gen_ai.response.id": "msg_1",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read_tokens": 100,
        "gen_ai.usage.cache_write_tokens": 3,
        "gen_ai.usage.reasoning_tokens": 2,
    },
}


def test_tier_and_units_of_a_span_are_the_calls(tracer: Tracer) -> None:
    """The tier that served; the one that was asked for says nothing. No zeros among the units."""
    told = DIALECTS["OpenInference"] | {
        "openai.response.service_tier": "flex", "openai.request.service_tier": "priority",
        "llm.token_count.prompt_details.audio": 7, "gen_ai.usage.details.web_search_requests": 2,
        "llm.token_count.completion_details.audio": 0,
    }  # fmt: skip
    ai = one_event(tracer, told).ai
    assert ai is not None
    assert (ai.service_tier, ai.units) == ("flex", {"input_audio_tokens": 7, "web_searches": 2})


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
def test_every_dialect_says_the_same(tracer: Tracer, dialect: dict[str, Any]) -> None:
    """The same call, told by five conventions, is the same use."""
    ai = one_event(tracer, dialect).ai
    assert ai is not None
    assert ai.model_dump(exclude_defaults=True, mode="json") == {
        "provider": "anthropic",
        "model": "claude-sonnet-4-20250514",
        "input_tokens": 113,
        "output_tokens": 5,
        "cache_read_tokens": 100,
        "cache_write_tokens": 3,
        "reasoning_tokens": 2,
        "total_tokens": 118,
        "response_id": "msg_1",
    }
    assert (ai.usage_type, ai.quality) == ("text", "reported")


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 9},
        {"gen_ai.operation.name": "execute_tool"},
        {"traceloop.span.kind": "workflow", "gen_ai.request.model": "m", "llm.usage.prompt_tokens": 9},
        {"openinference.span.kind": "AGENT", "llm.model_name": "m", "llm.token_count.prompt": 9},
        {"http.request.method": "POST"},
        {"gen_ai.request.model": "m"},
    ],
    ids=str,
)
def test_a_span_that_is_no_call_is_no_use(tracer: Tracer, attributes: dict[str, Any]) -> None:
    """An agent's span repeats the sums of its calls."""
    assert one_event(tracer, attributes).ai is None


def test_an_embedding_is_told_from_text(tracer: Tracer) -> None:
    """Its price is another."""
    words = {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "e", "gen_ai.usage.input_tokens": 4}
    ai = one_event(tracer, words).ai
    assert ai is not None
    assert (ai.usage_type, ai.input_tokens) == ("embedding", 4)


def test_a_call_without_usage_is_missing(tracer: Tracer) -> None:
    """Unknown is never zero."""
    ai = one_event(tracer, {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}).ai
    assert ai is not None
    assert ai.quality == "missing"


def test_a_failed_call_is_zero_tokens_and_its_exception_decides_the_outcome(tracer: Tracer) -> None:
    """No counts are invented for an answer that never came."""
    asked = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "error.type": "RateLimitError"}
    with (
        pytest.raises(RuntimeError),
        in_node() as recorded,
        tracer.start_as_current_span("call", attributes=asked),
    ):
        raise RuntimeError("429")
    event = recorded.only()
    assert event.ai is not None
    assert (event.outcome, event.ai.model, event.ai.total_tokens) == ("error", "m", 0)


def test_an_error_status_keeps_what_was_stated_as_partial(tracer: Tracer) -> None:
    """A stream that broke had a price."""
    with in_node() as recorded, tracer.start_as_current_span("c") as span:
        span.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7})
        span.set_status(Status(StatusCode.ERROR, "broken pipe"))
    event = recorded.only()
    assert event.ai is not None
    assert (event.ai.input_tokens, event.ai.quality) == (7, "partial")


CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 7,
    "gen_ai.usage.output_tokens": 1,
}


def test_one_request_in_two_spans_counts_once(tracer: Tracer) -> None:
    """Where a framework and its vendor's library are both instrumented, the inner span counts."""
    with (
        in_node() as recorded,
        tracer.start_as_current_span("ChatOpenAI", attributes=CALL),
        tracer.start_as_current_span("openai.chat", attributes=CALL),
    ):
        pass
    event = recorded.only()
    assert event.ai is not None
    assert event.ai.input_tokens == 7


def test_two_calls_side_by_side_count_twice(tracer: Tracer) -> None:
    """Their equal counts do not make them one."""
    with in_node() as recorded, tracer.start_as_current_span("agent"):
        for _ in range(2):
            with tracer.start_as_current_span("chat", attributes=CALL):
                pass
    event = recorded.only()
    assert event.ai is not None
    assert event.ai.input_tokens == 14


def test_a_tapped_call_counts_once(tracer: Tracer) -> None:
    """The tap wins."""
    with memory_meter() as recorded, recorded.meter.run() as run, run.node("n") as node:
        attributes = CALL | {"gen_ai.response.id": "chatcmpl-123456789"}
        with tracer.start_as_current_span("chat", attributes=attributes):
            node.ai_tapped(
                model="gpt-4o-2024", input_tokens=7, output_tokens=1, response_id="chatcmpl-123456789"
            )  # fmt: skip
    event = recorded.only()
    assert event.ai is not None
    assert (event.ai.input_tokens, event.ai.model) == (7, "gpt-4o-2024")


def test_the_use_belongs_to_the_node_where_the_span_began(tracer: Tracer) -> None:
    """A span may end when its node is no longer the current one."""
    with memory_meter() as recorded, recorded.meter.run() as run, run.node("first"):
        span = tracer.start_span("chat", attributes=CALL)
        with run.node("second"):
            span.end()
    events = recorded.by_node()
    assert events["first"][0].ai is not None
    assert events["second"][0].ai is None


def test_in_a_run_without_a_node_the_use_is_the_runs(tracer: Tracer) -> None:
    """It becomes an event of kind usage."""
    with (
        memory_meter() as recorded,
        recorded.meter.run(account_id="acme"),
        tracer.start_as_current_span("chat", attributes=CALL),
    ):
        pass
    event = recorded.only()
    assert (event.kind, event.account_id, event.node_id) == ("usage", "acme", "")


def test_outside_every_run_the_use_is_unattributed(tracer: Tracer) -> None:
    """Nothing is emitted, and it is counted."""
    with memory_meter() as recorded:
        before = recorded.meter.counters().unattributed
        with tracer.start_as_current_span("chat", attributes=CALL):
            pass
        assert recorded.meter.counters().unattributed == before + 1
    assert recorded.events == []


def test_no_text_of_a_span_is_kept(tracer: Tracer) -> None:
    """Prompts travel in attributes, and stay there."""
    with in_node() as recorded, tracer.start_as_current_span("chat", attributes=CALL) as span:
        span.set_attribute("gen_ai.input.messages", "the secret prompt")
        span.set_status(Status(StatusCode.ERROR, "the secret prompt"))
    assert all(b"secret" not in value for _, value in stored(recorded))


def stored(recorded: RecordedMeter) -> list[tuple[bytes, bytes]]:
    """The wire form of what was emitted."""
    recorded.meter.flush()
    return list(recorded.transport.stored)


def test_a_fault_inside_does_not_reach_the_host(tracer: Tracer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noted with the run's meter."""
    import taximeter.bridges.opentelemetry as bridge

    def broken(*_: object) -> None:
        raise ValueError("broken")

    broken_call: Callable[..., Any] = broken
    monkeypatch.setattr(bridge, "words_of", broken_call)
    with in_node() as recorded, tracer.start_as_current_span("chat", attributes=CALL):
        pass
    assert recorded.meter.counters().hook_errors == 1
