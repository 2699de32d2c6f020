"""AI nodes: model calls through the providers' own SDKs, whole or streamed.

The SDKs' own retries are off, so that a retry is an attempt of the executor and is seen as one. Calls that were
answered before a node failed are carried on the error: they are on the provider's bill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import openai

from examples.dag_executor.executor import NodeCall
from examples.dag_executor.results import AiCall, NodeCancelled, NodeError, NodeResult, NodeTimeout

MAX_TOKENS = 512
RETRYABLE_STATUS = frozenset({408, 409, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True)
class Ask:
    """One call to make: texts filled in, headers and timeout (seconds) as the SDK takes them."""

    provider: str
    model: str
    system: str
    prompt: str
    stream: bool
    include_usage: bool
    options: Mapping[str, Any]


Answered = tuple[Any, AiCall]


class AiNode:
    """Makes the `calls` of the node's config in turn; the output is the last answer.

    A call is `{"api", "provider", "model", "prompt"}` with `system`, `stream`, `include_usage` and `headers` at will;
    `api` is one of chat, responses, embeddings, messages. Texts are filled from the run's inputs and, by node id, from
    the outputs of the nodes before.
    """

    def __init__(self, base_url: str) -> None:
        key = "none-needed-on-loopback"
        self._openai = openai.OpenAI(base_url=f"{base_url}/v1", api_key=key, max_retries=0)
        self._anthropic = anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0)
        self._apis: dict[str, Callable[[Ask], Answered]] = {
            "chat": self._chat,
            "responses": self._responses,
            "embeddings": self._embeddings,
            "messages": self._messages,
        }

    def close(self) -> None:
        self._openai.close()
        self._anthropic.close()

    def __call__(self, call: NodeCall) -> NodeResult:
        answered: list[AiCall] = []
        output: Any = None
        for spec in call.node.config["calls"]:
            if call.cancel.is_set():
                raise NodeCancelled("cancelled between two model calls", result=NodeResult(ai=tuple(answered)))
            try:
                output, made = self._apis[spec["api"]](ask(call, spec))
            except (openai.APIError, anthropic.APIError) as error:
                raise translated(error, tuple(answered)) from error
            except NodeError as error:
                error.result = NodeResult(ai=tuple(answered))
                raise
            answered.append(made)
        return NodeResult(output=output, ai=tuple(answered))

    def _chat(self, ask: Ask) -> Answered:
        messages: list[Any] = [{"role": "system", "content": ask.system}] if ask.system else []
        messages.append({"role": "user", "content": ask.prompt})
        create = self._openai.chat.completions.create
        if not ask.stream:
            answer = create(model=ask.model, messages=messages, **ask.options)
            return answer.choices[0].message.content, made(ask, answer.usage, answer.id)
        wanted: dict[str, Any] = {"stream_options": {"include_usage": True}} if ask.include_usage else {}
        text, usage, answer_id = "", None, ""
        with create(model=ask.model, messages=messages, stream=True, **wanted, **ask.options) as chunks:
            for chunk in chunks:
                text += "".join(choice.delta.content or "" for choice in chunk.choices)
                usage, answer_id = chunk.usage or usage, chunk.id
        return text, made(ask, usage, answer_id)

    def _responses(self, ask: Ask) -> Answered:
        create = self._openai.responses.create
        about: dict[str, Any] = {"model": ask.model, "input": ask.prompt, "instructions": ask.system or None}
        if not ask.stream:
            answer = create(**about, **ask.options)
            return answer.output_text, made(ask, answer.usage, answer.id)
        final = None
        with create(**about, stream=True, **ask.options) as events:
            for event in events:
                final = event.response if event.type == "response.completed" else final
        if final is None:
            raise NodeError("the stream ended without response.completed", retryable=True)
        return final.output_text, made(ask, final.usage, final.id)

    def _embeddings(self, ask: Ask) -> Answered:
        answer = self._openai.embeddings.create(model=ask.model, input=ask.prompt, **ask.options)
        return answer.data[0].embedding, made(ask, answer.usage, "")

    def _messages(self, ask: Ask) -> Answered:
        about: dict[str, Any] = {
            "model": ask.model,
            "max_tokens": MAX_TOKENS,
            "messages": [{"role": "user", "content": ask.prompt}],
        }
        if ask.system:
            about["system"] = [{"type": "text", "text": ask.system, "cache_control": {"type": "ephemeral"}}]
        if ask.stream:
            with self._anthropic.messages.stream(**about, **ask.options) as stream:
                answer = stream.get_final_message()
        else:
            answer = self._anthropic.messages.create(**about, **ask.options)
        text = "".join(block.text for block in answer.content if block.type == "text")
        return text, made(ask, answer.usage, answer.id)


def ask(call: NodeCall, spec: Mapping[str, Any]) -> Ask:
    """The call that `spec` describes, with its texts filled in."""
    known = {**call.run.inputs, **call.upstream}
    headers = {name: value.format_map(known) for name, value in spec.get("headers", {}).items()}
    headers["x-client-request-id"] = f"{call.run.run_id}/{call.node.id}"
    return Ask(
        provider=spec["provider"],
        model=spec["model"],
        system=spec.get("system", "").format_map(known),
        prompt=spec["prompt"].format_map(known),
        stream=bool(spec.get("stream")),
        include_usage=bool(spec.get("include_usage", True)),
        options={"extra_headers": headers, "timeout": call.node.timeout_seconds},
    )


def made(ask: Ask, usage: Any, answer_id: str) -> AiCall:
    """The record of an answered call."""
    counts = None if usage is None else usage.model_dump()
    return AiCall(ask.provider, ask.model, counts, response_id=answer_id, streamed=ask.stream)


def translated(error: openai.APIError | anthropic.APIError, answered: tuple[AiCall, ...]) -> NodeError:
    """The node's error for the SDK's error."""
    result = NodeResult(ai=answered)
    if isinstance(error, (openai.APITimeoutError, anthropic.APITimeoutError)):
        return NodeTimeout("the model did not answer in time", result=result, retryable=True)
    if isinstance(error, (openai.APIStatusError, anthropic.APIStatusError)):
        retryable = error.status_code in RETRYABLE_STATUS
        return NodeError(f"the provider answered {error.status_code}", result=result, retryable=retryable)
    return NodeError(f"{type(error).__name__}: {error}", result=result, retryable=True)
