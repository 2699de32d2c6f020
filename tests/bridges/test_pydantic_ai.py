"""Pydantic AI's own test models, wrapped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="pydantic-ai-slim is not installed")

from pydantic_ai import Agent, AgentRunResult
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage
from tests.bridges.node import in_node

from taximeter.bridges.pydantic_ai import MeteredModel
from taximeter.testing import memory_meter


def ask(agent: Agent[None, str]) -> AgentRunResult[str]:
    return asyncio.run(agent.run("hi"))


def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    usage = RequestUsage(
        input_tokens=113, output_tokens=5, cache_read_tokens=100, cache_write_tokens=3, input_audio_tokens=7,
        details={"reasoning_tokens": 2, "web_search_requests": 1},
    )  # fmt: skip
    return ModelResponse(
        [TextPart("hello")], usage=usage, provider_name="anthropic",
        provider_response_id="msg_123456789012", provider_details={"service_tier": "priority"},
    )  # fmt: skip


def test_a_request_is_use_of_the_node_around_the_agent() -> None:
    """Counts, provider and the provider's id, as the framework normalised them."""
    agent = Agent(MeteredModel(FunctionModel(answer)))
    with in_node() as recorded:
        assert ask(agent).output == "hello"
    ai = recorded.only().ai
    assert ai is not None
    assert (ai.provider, ai.response_id) == ("anthropic", "msg_123456789012")
    assert (ai.input_tokens, ai.output_tokens) == (113, 5)
    assert (ai.cache_read_tokens, ai.cache_write_tokens, ai.reasoning_tokens) == (100, 3, 2)
    assert (ai.service_tier, ai.units) == ("priority", {"input_audio_tokens": 7, "web_searches": 1})


def test_every_request_of_a_run_counts() -> None:
    """A tool call makes a second request; their sum is the run's own usage."""
    agent = Agent(MeteredModel(TestModel()))

    @agent.tool_plain
    def weather() -> str:
        return "fine"

    with in_node() as recorded:
        usage = ask(agent).usage
    ai = recorded.only().ai
    assert ai is not None
    assert usage.requests == 2
    assert (ai.input_tokens, ai.output_tokens) == (usage.input_tokens, usage.output_tokens)


async def words(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
    for word in ("hello ", "there ", "and ", "more"):
        yield word


def test_a_stream_is_use_when_it_ends() -> None:
    """As far as it got."""

    async def work() -> int:
        agent = Agent(MeteredModel(FunctionModel(stream_function=words)))
        async with recorded.meter.run() as run, run.node("n"), agent.run_stream("hi") as result:
            assert await result.get_output() == "hello there and more"
            return result.usage.output_tokens

    with memory_meter() as recorded:
        tokens = asyncio.run(work())
    ai = recorded.only().ai
    assert ai is not None
    assert (ai.output_tokens, ai.quality) == (tokens, "reported")


def test_a_stream_that_is_left_is_partial() -> None:
    """What the framework knew by then counts, and is marked."""

    async def work() -> None:
        model = MeteredModel(FunctionModel(stream_function=words))
        async with recorded.meter.run() as run, run.node("n"):
            agent = Agent(model)
            async with agent.run_stream("hi") as result:
                async for _ in result.stream_text(debounce_by=None):
                    break

    with memory_meter() as recorded:
        asyncio.run(work())
    ai = recorded.only().ai
    assert ai is not None
    assert ai.quality == "partial"


def test_a_failed_request_is_zero_tokens_and_passes_on() -> None:
    """The exception is the host's, unchanged."""

    def fail(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        raise ConnectionError("refused")

    agent = Agent(MeteredModel(FunctionModel(fail)))
    with pytest.raises(ConnectionError, match="refused"), in_node() as recorded:
        ask(agent)
    event = recorded.only()
    assert event.ai is not None
    assert (event.outcome, event.ai.total_tokens, event.ai.quality) == ("error", 0, "reported")


def test_a_response_that_states_nothing_is_missing() -> None:
    """The framework's counters begin at 0, which is no statement."""

    class Silent(TestModel):
        async def request(self, *given: Any, **named: Any) -> ModelResponse:
            return ModelResponse([TextPart("hello")], model_name="m", usage=RequestUsage())

    model = MeteredModel(Silent())
    with in_node() as recorded:
        asyncio.run(model_request(model, [ModelRequest.user_text_prompt("hi")]))
    ai = recorded.only().ai
    assert ai is not None
    assert (ai.model, ai.quality) == ("m", "missing")
