"""AI nodes: the providers' own SDKs against the stub provider, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from threading import Event
from typing import Any

import pytest
from examples.dag_executor.executor import NodeCall
from examples.dag_executor.nodes.ai import AiNode
from examples.dag_executor.results import AiCall, NodeError, NodeResult
from examples.dag_executor.stub_provider import StubProvider
from examples.dag_executor.tally import tokens
from examples.dag_executor.workflow import NodeSpec, RunRequest, Workflow
from examples.dag_executor.workflows import HOUSE_RULES

pytestmark = pytest.mark.filterwarnings("ignore:The model 'claude:DeprecationWarning")

SONNET = "claude-sonnet-4-20250514"
APIS = [
    ("chat", "openai", "gpt-4o"),
    ("chat", "openai", "o3-mini"),
    ("chat", "house", "house-llm-1"),
    ("responses", "openai", "gpt-4o-mini"),
    ("messages", "anthropic", SONNET),
    ("messages", "anthropic", "claude-3-5-haiku-20241022"),
]


@pytest.fixture(scope="module")
def provider() -> Iterator[StubProvider]:
    with StubProvider(seed=3, latency_seconds=0) as provider:
        yield provider


@pytest.fixture(scope="module")
def ai(provider: StubProvider) -> Iterator[AiNode]:
    with closing(AiNode(provider.url)) as ai:
        yield ai


def ask(ai: AiNode, *calls: dict[str, Any], run_id: str = "r") -> NodeResult:
    node = NodeSpec("n", "ai", config={"calls": calls})
    return ai(NodeCall(RunRequest(run_id, Workflow("w", (node,)), "acme"), node, 1, {}, Event()))


def spec(api: str, provider: str, model: str, **more: Any) -> dict[str, Any]:
    return {"api": api, "provider": provider, "model": model, "prompt": "How far is it?", **more}


def only(result: NodeResult) -> AiCall:
    (made,) = result.ai
    return made


@pytest.mark.parametrize(("api", "provider_name", "model"), APIS)
def test_streamed_and_whole_answers_agree(ai: AiNode, api: str, provider_name: str, model: str) -> None:
    """The SDK reads the same text and the same usage from a stream as from one answer; two asks are equal."""
    whole = ask(ai, spec(api, provider_name, model, system=HOUSE_RULES))
    streamed = ask(ai, spec(api, provider_name, model, system=HOUSE_RULES, stream=True))
    again = ask(ai, spec(api, provider_name, model, system=HOUSE_RULES))
    assert whole == again
    assert whole.output
    assert whole.output == streamed.output
    counted = tokens(only(whole).usage)
    assert counted == tokens(only(streamed).usage)
    assert counted["input_tokens"] > 1024
    assert counted["output_tokens"] > counted["reasoning_tokens"]
    assert only(streamed).streamed
    assert only(whole).response_id


def test_cache_and_reasoning_details(ai: AiNode) -> None:
    """Long prompts are read from the cache, the house model caches nothing, and only o3-mini reasons."""
    results = {model: ask(ai, spec(api, name, model, system=HOUSE_RULES)) for api, name, model in APIS}
    counted = {model: tokens(only(result).usage) for model, result in results.items()}
    assert counted["gpt-4o"]["cache_read_tokens"] % 128 == 0 < counted["gpt-4o"]["cache_read_tokens"]
    assert counted["house-llm-1"]["cache_read_tokens"] == 0
    assert {model for model, count in counted.items() if count["reasoning_tokens"]} == {"o3-mini"}
    sonnet = only(results[SONNET]).usage
    assert sonnet is not None
    assert (sonnet["cache_read_input_tokens"] == 0) != (sonnet["cache_creation_input_tokens"] == 0)


def test_a_stream_says_what_it_used_only_if_asked(ai: AiNode) -> None:
    """Without include_usage a streamed chat completion has no usage: unknown, not zero."""
    result = ask(ai, spec("chat", "openai", "gpt-4o", stream=True, include_usage=False))
    assert result.output
    assert only(result).usage is None


def test_embeddings(ai: AiNode) -> None:
    """An embedding is a vector and costs input tokens only."""
    result = ask(ai, spec("embeddings", "openai", "text-embedding-3-small"))
    assert len(result.output) == 8
    assert tokens(only(result).usage) == {"input_tokens": 4, "output_tokens": 0} | dict.fromkeys(
        ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens"), 0
    )


@pytest.mark.parametrize(("api", "provider_name", "model"), [APIS[0], APIS[3], APIS[4]])
@pytest.mark.parametrize("status", [429, 500])
@pytest.mark.parametrize("stream", [False, True])
def test_failures_on_demand(ai: AiNode, api: str, provider_name: str, model: str, status: int, *, stream: bool) -> None:
    """A refused call fails once, is retryable, and carries the calls answered before it; then it succeeds."""
    first = spec("embeddings", "openai", "text-embedding-3-small")
    refused = spec(api, provider_name, model, stream=stream, headers={"x-stub-fail": f"{status};times=1"})
    run_id = f"{model}-{status}-{stream}"
    with pytest.raises(NodeError, match=f"answered {status}") as caught:
        ask(ai, first, refused, run_id=run_id)
    assert caught.value.retryable
    assert [call.model for call in caught.value.result.ai] == ["text-embedding-3-small"]
    assert [call.model for call in ask(ai, first, refused, run_id=run_id).ai] == ["text-embedding-3-small", model]


def test_the_bill_of_the_provider_is_the_usage_it_sent(provider: StubProvider, ai: AiNode) -> None:
    """What the provider notes as served is what its answers stated."""
    before = dict(provider.served.get("gpt-4o-mini", {}))
    counted = tokens(only(ask(ai, spec("chat", "openai", "gpt-4o-mini"))).usage)
    after = provider.served["gpt-4o-mini"]
    for name in ("input_tokens", "output_tokens"):
        assert after[name] - before.get(name, 0) == counted[name]
