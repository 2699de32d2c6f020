"""LangChain's and LangGraph's own fake models, metered by the callback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("langchain_core", reason="langchain-core is not installed")

from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableLambda
from tests.bridges.node import in_node

from taximeter.bridges.langchain import TaximeterCallback
from taximeter.testing import memory_meter

USAGE: Any = {
    "input_tokens": 350,
    "output_tokens": 24,
    "total_tokens": 374,
    "input_token_details": {"cache_read": 100, "audio": 7},
    "output_token_details": {"reasoning": 8},
}
FACTS = {
    "model_name": "gpt-4o-2024-11-20", "model_provider": "openai", "id": "chatcmpl-1234567890", "service_tier": "flex",
}  # fmt: skip


def answer() -> AIMessage:
    return AIMessage("hello there", usage_metadata=USAGE, response_metadata=FACTS)


class Chat(BaseChatModel):
    """A model as partners write them: usage on the message, streamed in the last chunk."""

    fail: bool = False
    choices: int = 1

    @property
    def _llm_type(self) -> str:
        return "chat"

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {"ls_provider": "azure", "ls_model_name": "gpt-4o", "ls_model_type": "chat"}

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if self.fail:
            raise TimeoutError("no answer")
        return ChatResult(generations=[ChatGeneration(message=answer()) for _ in range(self.choices)])

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for text in ("hello ", "there"):
            yield ChatGenerationChunk(message=AIMessageChunk(text))
        yield ChatGenerationChunk(message=AIMessageChunk("", usage_metadata=USAGE, response_metadata=FACTS))


def config() -> Any:
    return {"callbacks": [TaximeterCallback()]}


def check(event: Any, times: int = 1) -> None:
    """The answer's use, that many times."""
    assert event.ai is not None
    assert (event.ai.provider, event.ai.model, event.ai.response_id) == ("openai", "gpt-4o-2024-11-20", FACTS["id"])
    assert (event.ai.input_tokens, event.ai.output_tokens) == (350 * times, 24 * times)
    assert (event.ai.cache_read_tokens, event.ai.reasoning_tokens) == (100 * times, 8 * times)
    assert event.ai.service_tier == "flex"
    assert event.ai.units == {"input_audio_tokens": 7 * times, **({"requests": times} if times > 1 else {})}


def test_a_call_is_use_of_the_node_around_it() -> None:
    """The message's usage, its model as the provider names it, and the provider's id."""
    with in_node() as recorded:
        assert Chat().invoke("hi", config()).text == "hello there"
    check(recorded.only())


def test_several_choices_of_one_answer_count_once() -> None:
    """Each choice repeats the usage of the whole answer."""
    with in_node() as recorded:
        Chat(choices=3).generate([[]], callbacks=[TaximeterCallback()])
    check(recorded.only())


def test_a_stream_is_use_at_its_end() -> None:
    """The usage stands in the last chunk."""
    with in_node() as recorded:
        assert "".join(chunk.text for chunk in Chat().stream("hi", config())) == "hello there"
    check(recorded.only())


def test_a_stream_that_is_left_is_missing() -> None:
    """The provider has billed something, and nobody said what."""
    with in_node() as recorded:
        stream = Chat().stream("hi", config())
        next(stream)
        stream.close()  # type: ignore[attr-defined]  # it is a generator
    event = recorded.only()
    assert event.ai is not None
    assert (event.ai.quality, event.ai.total_tokens, event.outcome) == ("missing", 0, "success")


def test_async_calls_in_parallel_stay_with_their_nodes() -> None:
    """Each task has its own current node."""

    async def work(recorded: Any) -> None:
        async def one(run: Any, name: str) -> None:
            async with run.node(name):
                await Chat().ainvoke("hi", config())

        async with recorded.meter.run() as run:
            await asyncio.gather(one(run, "a"), one(run, "b"))

    with memory_meter() as recorded:
        asyncio.run(work(recorded))
    ids = {name: [event.ai.input_tokens for event in events if event.ai] for name, events in recorded.by_node().items()}
    # One answer with one id was given twice; it counts once, at whichever node came first.
    assert sorted(map(sum, ids.values())) == [0, 350]


def test_an_async_stream_is_use_too() -> None:
    """As its sync form."""

    async def work(recorded: Any) -> None:
        async with recorded.meter.run() as run, run.node("n"):
            async for _ in Chat().astream("hi", config()):
                pass

    with memory_meter() as recorded:
        asyncio.run(work(recorded))
    check(recorded.only())


def test_a_failed_call_is_zero_tokens_of_the_model_that_was_asked() -> None:
    """The exception passes on unchanged and decides the outcome."""
    with pytest.raises(TimeoutError, match="no answer"), in_node() as recorded:
        Chat(fail=True).invoke("hi", config())
    event = recorded.only()
    assert event.ai is not None
    assert (event.ai.provider, event.ai.model, event.ai.total_tokens) == ("azure", "gpt-4o", 0)
    assert event.outcome == "timeout"


def test_a_model_that_states_no_usage_is_missing() -> None:
    """LangChain's own fake chat and text models state none."""
    with memory_meter() as recorded, recorded.meter.run() as run:
        with run.node("chat"):
            GenericFakeChatModel(messages=iter([AIMessage("x")])).invoke("hi", config())
        with run.node("text"):
            FakeListLLM(responses=["x"]).invoke("hi", config())
    assert [event.ai and event.ai.quality for event in recorded.events] == ["missing", "missing"]


def test_a_call_that_a_tap_saw_counts_once() -> None:
    """The tap wins."""

    def call(_: object) -> Any:
        from taximeter import current_node

        current_node().ai_tapped(model="tapped", input_tokens=350, output_tokens=24, response_id=FACTS["id"])
        return Chat().invoke("hi", config())

    with in_node() as recorded:
        RunnableLambda(call).invoke("hi")
    event = recorded.only()
    assert event.ai is not None
    assert (event.ai.model, event.ai.input_tokens) == ("tapped", 350)


def test_a_graph_inherits_the_callback() -> None:
    """In LangGraph it is given once, to the graph; its steps are no nodes of ours."""
    graph = pytest.importorskip("langgraph.graph", reason="langgraph is not installed")

    builder = graph.StateGraph(dict)
    builder.add_node("ask", lambda state: {"said": Chat().invoke("hi").text})
    builder.add_edge(graph.START, "ask")
    builder.add_edge("ask", graph.END)
    with memory_meter() as recorded, recorded.meter.run() as run, run.node("graph"):
        assert builder.compile().invoke({}, config()) == {"said": "hello there"}
    check(recorded.only())
