"""Streams in every framing, whole and cut short."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import pytest

from taximeter.usage import Usage, UsageReader, read_usage
from taximeter_schemas.words import Quality

OPENAI = {"host": "api.openai.com", "path": "/v1/chat/completions", "stream": True}
ANTHROPIC = {"host": "api.anthropic.com", "path": "/v1/messages", "stream": True}
GEMINI = {
    "host": "generativelanguage.googleapis.com", "path": "/v1beta/models/g:streamGenerateContent", "stream": True,
}  # fmt: skip
BEDROCK = {"host": "bedrock-runtime.us-east-1.amazonaws.com", "stream": True}


def delta(**more: Any) -> str:
    """A chunk of a chat completion."""
    return json.dumps({"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [{"delta": {}}], **more})


LAST = delta(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7})


def frame(payload: bytes, **headers: str) -> bytes:
    """An AWS event-stream frame."""
    block = b"".join(
        struct.pack(">B", len(name)) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    text = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return text + struct.pack(">I", zlib.crc32(text))


def wrapped(event: dict[str, Any]) -> bytes:
    """An event as invoke-with-response-stream carries it."""
    return frame(json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "abc"}).encode())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("tail", ["{e}{e}data: [DONE]{e}{e}", "{e}{e}", "{e}", ""])
def test_sse_with_any_line_end_and_any_tail(end: str, tail: str) -> None:
    """Comments, other fields, data over several lines, `usage: null` in between, no blank line at the end."""
    split = LAST.replace(', "usage"', f',{end}data: "usage"')
    text = (
        f": hello{end}{end}event: x{end}id: 1{end}data:{delta(usage=None)}{end}{end}data: {split}{tail.format(e=end)}"
    )
    reader = UsageReader(**OPENAI)
    for place in range(len(text)):
        reader.feed(text[place : place + 1].encode())
    usage = reader.finish()
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.model) == (5, 2, 7, "m")
    assert usage.quality is Quality.REPORTED


def test_a_stream_without_usage_states_none() -> None:
    """Not even when every chunk has the key."""
    text = "".join(f"data: {delta(usage=None)}\n\n" for _ in range(5)) + "data: [DONE]\n\n"
    assert read(OPENAI, text.encode()) is None


def read(call: dict[str, Any], body: bytes, **more: Any) -> Usage | None:
    """Read a stream."""
    return read_usage(**call, **more, body=body)


def anthropic(*events: dict[str, Any]) -> bytes:
    """A stream of messages."""
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


START = {"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {
    "input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 0, "output_tokens": 1,
}}}  # fmt: skip
TEXT = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}


def test_anthropic_states_running_sums() -> None:
    """The last delta counts; what it leaves out stands in the start."""
    body = anthropic(
        START, TEXT, {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 5}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 15}},
        {"type": "message_stop"},
    )  # fmt: skip
    usage = read(ANTHROPIC, body)
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (110, 15, 100)
    assert (usage.quality, usage.response_id, usage.model) == (Quality.REPORTED, "msg_1", "claude")


def test_a_delta_that_states_the_input_states_all_anew() -> None:
    """After a compaction the start spoke of another pass: its cache reads are not the answer's."""
    used = {"input_tokens": 181, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 8}
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": used}
    usage = read(ANTHROPIC, anthropic(START, TEXT, last))
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (181, 0, 8)


def test_a_stream_cut_short_is_partial() -> None:
    """What was stated until then counts."""
    usage = read(ANTHROPIC, anthropic(START, TEXT))
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.quality) == (110, 1, Quality.PARTIAL)


def test_a_reader_told_of_a_cut_after_the_last_word_still_reports() -> None:
    """A caller may stop listening once it has the usage."""
    reader = UsageReader(**OPENAI)
    reader.feed(f"data: {LAST}\n\n".encode())
    usage = reader.finish(complete=False)
    assert usage is not None
    assert usage.quality is Quality.REPORTED


def test_responses_state_use_in_their_last_event() -> None:
    """The events before carry a response without use."""
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "usage": None}},
        {"type": "response.completed", "response": {"id": "resp_1", "model": "m", "status": "completed", "usage": {
            "input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 3, "total_tokens": 12}}},
    ]  # fmt: skip
    usage = read({**OPENAI, "path": "/v1/responses"}, anthropic(*events))
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens, usage.response_id) == (9, 4, "resp_1")
    assert usage.quality is Quality.REPORTED


@pytest.mark.parametrize("framing", ["sse", "array", "indented array"])
def test_gemini_restates_all_in_each_chunk(framing: str) -> None:
    """The last chunk stands alone: what an earlier one said of another pass is not mixed in."""
    chunks = [
        {"candidates": [{}], "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 21,
                                               "thoughtsTokenCount": 35, "totalTokenCount": 65}},
        {"candidates": [{"finishReason": "STOP"}], "modelVersion": "gemini-x", "responseId": "r",
         "usageMetadata": {"promptTokenCount": 87, "thoughtsTokenCount": 78, "totalTokenCount": 165}},
        {"candidates": [{"content": {"parts": [{"text": "\\\"}]"}]}}], "usageMetadata": {"trafficType": "ON_DEMAND"}},
    ]  # fmt: skip
    if framing == "sse":
        body = "".join(f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in chunks)
    else:
        body = json.dumps(chunks, indent=2 if framing == "indented array" else None)
    reader = UsageReader(**GEMINI)
    for place in range(0, len(body), 3):
        reader.feed(body[place : place + 3].encode())
    usage = reader.finish()
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.model) == (87, 78, 165, "gemini-x")
    assert usage.quality is Quality.REPORTED


def test_a_large_last_chunk_still_comes_last() -> None:
    """A picture's chunk is read at once, after the small ones before it."""
    small = {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1, "totalTokenCount": 10}}
    large = {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1290, "totalTokenCount": 1299},
             "candidates": [{"finishReason": "STOP", "data": "x" * 400_000}]}  # fmt: skip
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in (small, small, large))
    usage = read(GEMINI, body.encode())
    assert usage is not None
    assert (usage.output_tokens, usage.quality) == (1290, Quality.REPORTED)


def test_ollama_states_use_in_its_last_line() -> None:
    """One document a line, the last without an end."""
    lines = [{"model": "l", "done": False, "message": {}}] * 3
    last = {"model": "l", "done": True, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 298}
    body = "\n".join(json.dumps(line) for line in [*lines, last]).encode()
    for call in ({"host": "localhost:11434", "path": "/api/chat", "stream": True}, {}):
        usage = read(call, body)
        assert usage is not None
        assert (usage.provider, usage.input_tokens, usage.output_tokens) == ("ollama", 26, 298)
        assert usage.quality is Quality.REPORTED


def test_converse_stream_states_use_in_its_metadata() -> None:
    """As an AWS event-stream frame."""
    body = frame(b'{"contentBlockIndex":0,"delta":{"text":"x"}}', **{":event-type": "contentBlockDelta"})
    body += frame(
        b'{"metrics":{"latencyMs":1},"usage":{"inputTokens":5,"outputTokens":6,"totalTokens":11}}',
        **{":event-type": "metadata", ":message-type": "event"},
    )
    call = {**BEDROCK, "path": "/model/x/converse-stream", "headers": {"X-Amzn-RequestId": ["r1"]}}
    usage = read(call, body)
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.response_id) == (5, 6, "r1")
    assert usage.quality is Quality.REPORTED


def test_invoke_stream_fills_in_from_the_metrics() -> None:
    """A model that states a part is completed by what Bedrock states in the last frame."""
    body = wrapped({"generation": "a", "prompt_token_count": None, "generation_token_count": 1, "stop_reason": None})
    body += wrapped({
        "generation": "", "prompt_token_count": None, "generation_token_count": 2, "stop_reason": "stop",
        "amazon-bedrock-invocationMetrics": {"inputTokenCount": 23, "outputTokenCount": 2},
    })  # fmt: skip
    usage = read({**BEDROCK, "path": "/model/meta.llama3/invoke-with-response-stream"}, body)
    assert usage is not None
    assert (usage.model, usage.input_tokens, usage.output_tokens) == ("meta.llama3", 23, 2)


def test_a_frame_that_its_crc_contradicts_ends_the_reading() -> None:
    """What stood before it counts, as partial."""
    good = wrapped({"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}})
    bad = bytearray(wrapped({"type": "message_delta", "usage": {"output_tokens": 9}}))
    bad[-6] ^= 1
    usage = read({**BEDROCK, "path": "/model/a/invoke-with-response-stream"}, good + bytes(bad) + good)
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.quality) == (3, 1, Quality.PARTIAL)


def test_groq_states_use_beside_its_id() -> None:
    """Under `x_groq`."""
    body = f"data: {delta(x_groq={'id': 'r', 'usage': {'prompt_tokens': 12, 'completion_tokens': 26}})}\n\n"
    usage = read({**OPENAI, "host": "api.groq.com"}, body.encode())
    assert usage is not None
    assert (usage.provider, usage.input_tokens, usage.output_tokens) == ("groq", 12, 26)


def test_cohere_names_its_response_at_the_start() -> None:
    """And states use at the end."""
    events: list[dict[str, Any]] = [
        {"type": "message-start", "id": "c9", "delta": {}},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {
            "billed_units": {"input_tokens": 3, "output_tokens": 4}, "tokens": {"input_tokens": 80}}}},
    ]  # fmt: skip
    usage = read({"host": "api.cohere.com", "path": "/v2/chat", "stream": True}, anthropic(*events))
    assert usage is not None
    assert (usage.response_id, usage.input_tokens, usage.output_tokens) == ("c9", 3, 4)


def test_a_body_padded_to_keep_the_line_open() -> None:
    """Blank lines for minutes, then the answer."""
    reader = UsageReader(host="openrouter.ai", path="/api/v1/chat/completions")
    for _ in range(100):
        reader.feed(b"\n         \n")
    reader.feed(LAST.encode())
    usage = reader.finish()
    assert usage is not None
    assert usage.input_tokens == 5
