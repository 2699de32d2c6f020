"""Spans made by the Agents SDK's own tracing, and a whole agent run on a fake model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("agents", reason="openai-agents is not installed")

from agents import Agent, ModelResponse, RunConfig, Runner, Usage, generation_span, response_span, trace
from agents.models.interface import Model
from agents.tracing import set_trace_processors
from openai.types.responses import Response, ResponseOutputMessage, ResponseOutputText, ResponseUsage
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails
from tests.bridges.node import in_node

from taximeter.bridges.openai_agents import TaximeterTracing
from taximeter.testing import memory_meter


@pytest.fixture(autouse=True)
def _only_our_processor() -> Iterator[None]:
    """The SDK's own processor would send traces to its vendor."""
    set_trace_processors([TaximeterTracing()])
    yield
    set_trace_processors([])


def response() -> Response:
    usage = ResponseUsage(
        input_tokens=100,
        input_tokens_details=InputTokensDetails.model_construct(cached_tokens=64),
        output_tokens=20,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=8),
        total_tokens=120,
    )
    return Response.model_construct(
        id="resp_12345678901", model="gpt-4o-2024-11-20", usage=usage, service_tier="default"
    )


def test_a_response_span_is_use_with_the_providers_id() -> None:
    """Its counts are those of the response."""
    with in_node() as recorded, trace("t"), response_span() as span:
        span.span_data.response = response()
    ai = recorded.only().ai
    assert ai is not None
    assert (ai.provider, ai.model, ai.response_id) == ("openai", "gpt-4o-2024-11-20", "resp_12345678901")
    assert (ai.service_tier, ai.units) == ("standard", {})
    assert (ai.input_tokens, ai.output_tokens, ai.cache_read_tokens, ai.reasoning_tokens) == (100, 20, 64, 8)


@pytest.mark.parametrize(
    ("model", "base_url", "provider"),
    [
        ("gpt-4o", "https://api.openai.com/v1/", "openai"),
        ("llama", "https://api.groq.com/openai/v1", "groq"),
        ("litellm/anthropic/claude-sonnet-4", None, "anthropic"),
        ("gpt-4o", None, ""),
    ],
)
def test_a_generation_span_is_use(model: str, base_url: str | None, provider: str) -> None:
    """The provider is read from the address or the model's prefix; else it is not known."""
    usage = {"requests": 1, "input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
    config = {"base_url": base_url} if base_url else {}
    with in_node() as recorded, trace("t"), generation_span(model=model, model_config=config, usage=usage):
        pass
    ai = recorded.only().ai
    assert ai is not None
    assert (ai.provider, ai.model, ai.input_tokens, ai.output_tokens) == (provider, model, 9, 2)


def test_a_failed_span_is_zero_tokens() -> None:
    """No counts are invented."""
    with in_node() as recorded, trace("t"), generation_span(model="gpt-4o") as span:
        span.set_error({"message": "rate limited", "data": None})
    event = recorded.only()
    assert event.ai is not None
    assert (event.ai.model, event.ai.total_tokens, event.ai.quality) == ("gpt-4o", 0, "reported")
    assert (event.outcome, event.error_message) == ("success", "rate limited")  # nothing left the node


def test_a_span_without_usage_is_missing() -> None:
    """Unknown is never zero."""
    with in_node() as recorded, trace("t"), generation_span(model="gpt-4o"):
        pass
    ai = recorded.only().ai
    assert ai is not None
    assert ai.quality == "missing"


class FakeModel(Model):
    """Answers by a generation span of its own, as the SDK's models do."""

    async def get_response(self, *given: Any, **named: Any) -> ModelResponse:
        with generation_span(model="gpt-4o", usage={"input_tokens": 9, "output_tokens": 2}):
            text = ResponseOutputText(text="hello", type="output_text", annotations=[])
            message = ResponseOutputMessage(
                id="m", content=[text], role="assistant", status="completed", type="message"
            )
            return ModelResponse(output=[message], usage=Usage(requests=1, input_tokens=9), response_id=None)

    def stream_response(self, *given: Any, **named: Any) -> Any:
        raise NotImplementedError


def test_an_agents_sums_are_not_counted_again() -> None:
    """Agent, turn and task spans repeat what their generations used."""

    async def work(run: Any) -> None:
        async with run.node("agent"):
            result = await Runner.run(Agent("a", model=FakeModel()), "hi", run_config=RunConfig())
            assert result.final_output == "hello"

    with memory_meter() as recorded, recorded.meter.run() as run:
        asyncio.run(work(run))
    ai = recorded.only().ai
    assert ai is not None
    assert (ai.input_tokens, ai.output_tokens) == (9, 2)
