"""OpenAI's answers in OpenAI's shapes: chat completions, responses and embeddings, whole or as events.

As at OpenAI, a streamed chat completion says what it used only if `stream_options.include_usage` asked for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from examples.dag_executor.stub_tokens import Tokens, completion_call, draw, length, pieces, text_of

Json = dict[str, Any]
CREATED = 1_700_000_000


def content_text(content: Any) -> str:
    """The text of a message's content, be it a string or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content or ())


def chat_tokens(seed: int, request: Json) -> Tokens:
    prompt = "\n".join(content_text(message["content"]) for message in request["messages"])
    return completion_call(seed, request["model"], prompt)


def response_tokens(seed: int, request: Json) -> Tokens:
    given = request["input"]
    text = given if isinstance(given, str) else "\n".join(content_text(item.get("content")) for item in given)
    return completion_call(seed, request["model"], f"{request.get('instructions') or ''}{text}")


def chat_usage(tokens: Tokens) -> Json:
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.prompt + tokens.completion,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def chat(request: Json, tokens: Tokens, answer_id: str) -> Json:
    message = {"role": "assistant", "content": "".join(text_of(tokens)), "refusal": None}
    return {
        "id": f"chatcmpl-{answer_id}",
        "object": "chat.completion",
        "created": CREATED,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": chat_usage(tokens),
        "system_fingerprint": "fp_stub",
    }


def chat_chunks(request: Json, tokens: Tokens, answer_id: str) -> Iterator[Json]:
    """The chunks of a streamed completion; with usage asked for, each has `usage: null` and one more ends them."""
    asked = bool((request.get("stream_options") or {}).get("include_usage"))
    frame = {
        "id": f"chatcmpl-{answer_id}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": request["model"],
        "system_fingerprint": "fp_stub",
    } | ({"usage": None} if asked else {})

    def chunk(delta: Json, finish: str | None) -> Json:
        return frame | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": ""}, None)
    for piece in pieces(text_of(tokens)):
        yield chunk({"content": piece}, None)
    yield chunk({}, "stop")
    if asked:
        yield frame | {"choices": [], "usage": chat_usage(tokens)}


def response(request: Json, tokens: Tokens, answer_id: str, *, done: bool = True) -> Json:
    usage = {
        "input_tokens": tokens.prompt,
        "input_tokens_details": {"cached_tokens": tokens.cache_read},
        "output_tokens": tokens.completion,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.prompt + tokens.completion,
    }
    return {
        "id": f"resp_{answer_id}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed" if done else "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "metadata": {},
        "model": request["model"],
        "output": [message_item("".join(text_of(tokens)), answer_id)] if done else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage if done else None,
    }


def message_item(text: str, answer_id: str) -> Json:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"id": f"msg_{answer_id}", "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def response_events(request: Json, tokens: Tokens, answer_id: str) -> Iterator[Json]:
    """The events of a streamed response, numbered; the last one holds the whole response with its usage."""
    part = {"item_id": f"msg_{answer_id}", "output_index": 0, "content_index": 0}
    item = message_item("".join(text_of(tokens)), answer_id)
    empty = item | {"status": "in_progress", "content": []}
    blank = {"type": "output_text", "text": "", "annotations": []}
    started = response(request, tokens, answer_id, done=False)
    text = item["content"][0]["text"]
    events: list[Json] = [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
        {"type": "response.output_item.added", "output_index": 0, "item": empty},
        part | {"type": "response.content_part.added", "part": blank},
    ]
    events += [
        part | {"type": "response.output_text.delta", "delta": piece, "logprobs": []}
        for piece in pieces(text_of(tokens))
    ]
    events += [
        part | {"type": "response.output_text.done", "text": text, "logprobs": []},
        part | {"type": "response.content_part.done", "part": item["content"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response(request, tokens, answer_id)},
    ]
    for number, event in enumerate(events):
        yield event | {"sequence_number": number}


def embeddings(seed: int, request: Json, dimensions: int = 8) -> tuple[Json, Tokens]:
    """Vectors for one text or several; the SDK may ask for base64, and accepts plain numbers all the same."""
    texts = [request["input"]] if isinstance(request["input"], str) else list(request["input"])
    tokens = Tokens(sum(length(text) for text in texts), 0)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": [draw(seed, text, at) % 2001 / 1000 - 1 for at in range(dimensions)],
        }
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": tokens.prompt, "total_tokens": tokens.prompt}
    return {"object": "list", "data": data, "model": request["model"], "usage": usage}, tokens
