"""Anthropic's answers in Anthropic's shape: messages, whole or as events. `input_tokens` leaves cache counts out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from examples.dag_executor.stub_openai import content_text
from examples.dag_executor.stub_tokens import Tokens, message_call, pieces, text_of

Json = dict[str, Any]


def tokens_of(seed: int, request: Json) -> Tokens:
    system = request.get("system") or ""
    cached = isinstance(system, list) and any(part.get("cache_control") for part in system)
    prompt = "\n".join(content_text(message["content"]) for message in request["messages"])
    return message_call(seed, request["model"], content_text(system), prompt, cached)


def usage(tokens: Tokens, output_tokens: int) -> Json:
    return {
        "input_tokens": tokens.plain_prompt,
        "cache_creation_input_tokens": tokens.cache_write,
        "cache_read_input_tokens": tokens.cache_read,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def message(request: Json, tokens: Tokens, answer_id: str) -> Json:
    return {
        "id": f"msg_{answer_id}",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": [{"type": "text", "text": "".join(text_of(tokens))}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage(tokens, tokens.completion),
    }


def events(request: Json, tokens: Tokens, answer_id: str) -> Iterator[Json]:
    """The events of a streamed message: input is stated at the start, the final output count in `message_delta`."""
    opening = message(request, tokens, answer_id) | {"content": [], "stop_reason": None, "usage": usage(tokens, 1)}
    yield {"type": "message_start", "message": opening}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "ping"}
    for piece in pieces(text_of(tokens)):
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
    yield {"type": "content_block_stop", "index": 0}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": tokens.completion},
    }
    yield {"type": "message_stop"}
