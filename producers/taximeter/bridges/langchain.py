"""LangChain and LangGraph: a callback handler that claims what each model call used, streamed or not, sync or async.

    chain.invoke(question, config={"callbacks": [TaximeterCallback()]})

Only calls of models are recorded, at the node that was current when the call began. Chains, graphs and tools make no
nodes of their own: what is a node is the executor's to say, and a graph's steps would count the same use twice.
Embeddings send no callbacks in LangChain; a tap on the transport sees them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult

from taximeter.bridges.claim import OpenCalls, claim, claim_failed, quiet
from taximeter.bridges.counters import counters_of
from taximeter.bridges.names import provider_name
from taximeter.usage.objects import member

# LangChain makes such ids itself where it knows none of the provider's.
_OWN_IDS = ("run-", "run--", "lc_", "lc_run--")


class TaximeterCallback(BaseCallbackHandler):
    """One handler serves all calls of a process. It never raises and never waits."""

    # In an async chain it is then called in the task itself and not in a thread.
    run_inline = True
    raise_error = False

    def __init__(self) -> None:
        self._calls = OpenCalls()

    @quiet
    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **more: Any) -> None:  # noqa: ARG002 - theirs
        """A chat model is called."""
        self._calls.began(run_id, _asked(more))

    @quiet
    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: UUID, **more: Any) -> None:  # noqa: ARG002 - theirs
        """A text model is called."""
        self._calls.began(run_id, _asked(more))

    @quiet
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_more: Any) -> None:
        """The model has answered."""
        node, asked = self._calls.ended(run_id)
        claim(node, {**asked, **_answered(response)})

    @quiet
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        """The call failed, or its stream was left."""
        node, asked = self._calls.ended(run_id)
        partial = more.get("response")
        said = _answered(partial) if isinstance(partial, LLMResult) else {}
        claim_failed(node, {**asked, **said}, error)


def _asked(more: Mapping[str, Any]) -> dict[str, Any]:
    metadata = more.get("metadata") or {}
    options = more.get("invocation_params") or {}
    model = metadata.get("ls_model_name") or options.get("model") or options.get("model_name")
    return {
        "provider": provider_name(metadata.get("ls_provider")),
        "model": model if isinstance(model, str) else None,
        "usage_type": "text",
    }


def _answered(response: LLMResult) -> dict[str, Any]:
    """What one answer states. Several choices of one answer repeat its usage, so that the first one speaks for all."""
    output: Mapping[str, Any] = response.llm_output or {}
    message = next((getattr(choice, "message", None) for choices in response.generations for choice in choices), None)
    facts: Mapping[str, Any] = getattr(message, "response_metadata", None) or {}
    usage = getattr(message, "usage_metadata", None)
    if not usage:
        usage = output.get("token_usage") or output.get("usage") or facts.get("token_usage") or facts.get("usage")
    words: dict[str, Any] = dict(counters_of(usage))
    model = facts.get("model_name") or facts.get("model") or output.get("model_name") or output.get("model")
    if isinstance(model, str):
        words["model"] = model
    provider = provider_name(facts.get("model_provider"))
    if provider is not None:
        words["provider"] = provider
    told = facts.get("service_tier") or output.get("service_tier") or member(facts.get("usage"), "service_tier")
    if isinstance(told, str):
        words["service_tier"] = told
    response_id = facts.get("id") or output.get("id") or getattr(message, "id", None)
    if isinstance(response_id, str) and not response_id.startswith(_OWN_IDS):
        words["response_id"] = response_id
    return words
