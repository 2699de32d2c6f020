"""Forced usage on OpenAI-style streams: asked for, counted, and hidden, through each library and SDK."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest
import urllib3
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI
from tests.instrument.drivers import DRIVERS, Post
from tests.instrument.loopback import Answer, Loopback

from taximeter.instrument import instrument, uninstrument
from taximeter.testing import RecordedMeter

SSE = {"content-type": "text/event-stream"}
CHAT = "/v1/chat/completions"
ASKED = b'{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"say hello"}]}'


def _chunk(**words: object) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024", **words}
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _delta(text: str) -> dict[str, Any]:
    return {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}


TEXTS = [_chunk(choices=[_delta(text)], usage=None) for text in ("hel", "lo", "!")]
USAGE = _chunk(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13})
DONE = b"data: [DONE]\n\n"
SHOWN = b"".join(TEXTS) + DONE
WIRE = b"".join(TEXTS) + USAGE + DONE


@pytest.fixture
def forced(recorded: RecordedMeter) -> RecordedMeter:
    """All libraries, with usage forced, and the loopback address as a gateway that speaks as OpenAI does."""
    instrument(recorded.meter, include_usage=True, providers={"127.0.0.1": "openai"})
    return recorded


def _splits() -> list[list[bytes]]:
    return [
        [*TEXTS, USAGE, DONE],
        [WIRE],
        [WIRE[start : start + 37] for start in range(0, len(WIRE), 37)],
        [*TEXTS, USAGE[:-1], USAGE[-1:] + DONE],
        [*TEXTS, USAGE[:3], USAGE[3:] + DONE[:5], DONE[5:]],
    ]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_the_chunk_that_we_caused_is_hidden(driver: str, framing: str, server: Loopback, forced: RecordedMeter) -> None:
    """However it is split over reads, the caller sees the rest, whole; the usage is counted."""
    for number, pieces in enumerate(_splits(), start=1):
        server.say(Answer(pieces, headers=SSE, framing=framing))
        with forced.meter.run(account_id="a") as run, run.node(f"n{number}"):
            got = DRIVERS[driver](Post(server.url(CHAT), ASKED))
        if driver == "requests-lines":
            assert [line for line in got.chunks if line] == [line for line in SHOWN.split(b"\n") if line]
        else:
            assert got.body == SHOWN
        asked = server.asked[-1]
        assert json.loads(asked.body) == {**json.loads(ASKED), "stream_options": {"include_usage": True}}
        (event,) = forced.by_node()[f"n{number}"]
        assert event.http is not None
        assert event.ai is not None
        assert (event.http.bytes_out, event.http.bytes_in) == (len(asked.body), len(WIRE))
        assert (event.ai.quality, event.ai.input_tokens, event.ai.output_tokens) == ("reported", 9, 4)


@pytest.mark.parametrize(
    "driver", ["requests-stream", "urllib3-stream", "httpx-raw", "httpx2-async-raw", "aiohttp-chunks"]
)
def test_chunks_keep_their_boundaries(driver: str, server: Loopback, forced: RecordedMeter) -> None:
    """Only the hidden chunk is missing among those that the server sent."""
    server.say(Answer([*TEXTS, USAGE, DONE], headers=SSE, framing="chunked"))
    got = DRIVERS[driver](Post(server.url(CHAT), ASKED))
    assert got.body == SHOWN
    assert not any(b'"choices":[]' in chunk for chunk in got.chunks)
    if driver in ("requests-stream", "urllib3-stream", "aiohttp-chunks"):
        assert got.chunks == (*TEXTS, DONE) or driver == "aiohttp-chunks"


def test_untapping_in_the_middle_loses_no_byte(server: Loopback, forced: RecordedMeter) -> None:
    """A stream of which a part is held is served to its end; then the libraries are whole again."""
    half = len(USAGE) // 2
    server.say(Answer([TEXTS[0], USAGE[:half], USAGE[half:] + DONE], headers=SSE, framing="chunked"))
    original = urllib3.HTTPResponse._handle_chunk.__wrapped__
    with forced.meter.run(account_id="a") as run, run.node("n"):
        answer = urllib3.request("POST", server.url(CHAT), body=ASKED, preload_content=False)
        chunks = answer.stream()
        seen = next(chunks)
        uninstrument()
        assert seen + b"".join(chunks) == TEXTS[0] + DONE
    uninstrument()
    assert vars(urllib3.HTTPResponse)["_handle_chunk"] is original


@pytest.mark.parametrize("driver", ["httpx-read", "requests-read", "urllib3-read", "aiohttp-read"])
def test_a_caller_who_asked_sees_the_chunk(driver: str, server: Loopback, forced: RecordedMeter) -> None:
    """What the caller asked for is the caller's, and its request is as it wrote it."""
    server.say(Answer([WIRE], headers=SSE, framing="chunked"))
    body = ASKED[:-1] + b',"stream_options": {"include_usage": true}}'
    assert DRIVERS[driver](Post(server.url(CHAT), body)).body == WIRE
    assert server.asked[-1].body == body


@pytest.mark.parametrize("driver", ["httpx-read", "requests-read", "urllib3-read", "aiohttp-read"])
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_other_requests_are_sent_as_they_are(driver: str, path: str, server: Loopback, forced: RecordedMeter) -> None:
    """Only chat and completions take the option."""
    DRIVERS[driver](Post(server.url(path), ASKED))
    assert server.asked[-1].body == ASKED


@pytest.mark.parametrize("driver", ["httpx-read", "requests-read", "urllib3-read", "aiohttp-read"])
def test_a_compressed_answer_is_not_touched(driver: str, server: Loopback, forced: RecordedMeter) -> None:
    """No compression is asked for; of a server that compresses all the same, the caller sees what it sent.

    aiohttp's reader is fed with decoded bytes, so there the chunk can be hidden nevertheless.
    """
    server.say(Answer([gzip.compress(WIRE)], headers={**SSE, "content-encoding": "gzip"}, framing="chunked"))
    with forced.meter.run(account_id="a") as run, run.node("n"):
        seen = DRIVERS[driver](Post(server.url(CHAT), ASKED)).body
    assert seen == (SHOWN if driver.startswith("aiohttp") else WIRE)
    assert server.asked[-1].headers["accept-encoding"] == "identity"
    ai = forced.only().ai
    assert ai is not None
    assert ai.input_tokens == 9


def test_without_the_option_nothing_is_added(server: Loopback, recorded: RecordedMeter) -> None:
    """By default requests are sent as they are, and the stream is estimated."""
    instrument(recorded.meter, providers={"127.0.0.1": "openai"})
    server.say(Answer([SHOWN], headers=SSE, framing="chunked"))
    with recorded.meter.run(account_id="a") as run, run.node("n"):
        DRIVERS["httpx2-stream"](Post(server.url(CHAT), ASKED))
    assert server.asked[-1].body == ASKED
    ai = recorded.only().ai
    assert ai is not None
    assert (ai.quality, ai.model) == ("estimated", "gpt-4o")
    assert ai.input_tokens > 0
    assert ai.output_tokens > 0
    assert ai.reasoning_tokens == 0


def _openai_stream(server: Loopback, **options: Any) -> list[Any]:
    with OpenAI(base_url=server.url("/v1"), api_key="k", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hi"}], stream=True, **options
        )
        return [chunk.model_dump() for chunk in stream]


async def _openai_astream(server: Loopback) -> list[Any]:
    async with AsyncOpenAI(base_url=server.url("/v1"), api_key="k", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        return [chunk.model_dump() async for chunk in stream]


@pytest.mark.parametrize("forcing", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
def test_openais_client_streams_as_without_us(
    forcing: bool, is_async: bool, server: Loopback, recorded: RecordedMeter
) -> None:
    """Its chunks are those of a stream that was never asked for its usage; the usage is counted all the same."""
    server.say(Answer([*TEXTS, DONE], headers=SSE, framing="chunked"))
    plain = asyncio.run(_openai_astream(server)) if is_async else _openai_stream(server)
    instrument(recorded.meter, include_usage=forcing, providers={f"127.0.0.1:{server.port}": "openai"})
    server.say(Answer([*TEXTS, *([USAGE] if forcing else []), DONE], headers=SSE, framing="chunked"))
    with recorded.meter.run(account_id="a") as run, run.node("n"):
        seen = asyncio.run(_openai_astream(server)) if is_async else _openai_stream(server)
    assert seen == plain
    ai = recorded.only().ai
    assert ai is not None
    assert ai.quality == ("reported" if forcing else "estimated")
    assert not forcing or (ai.input_tokens, ai.output_tokens, ai.model) == (9, 4, "gpt-4o-2024")


def test_openais_client_sees_the_usage_it_asked_for(server: Loopback, forced: RecordedMeter) -> None:
    """A caller's own `include_usage` still gives the last chunk."""
    server.say(Answer([*TEXTS, USAGE, DONE], headers=SSE, framing="chunked"))
    with forced.meter.run(account_id="a") as run, run.node("n"):
        chunks = _openai_stream(server, stream_options={"include_usage": True})
    assert chunks[-1]["usage"]["total_tokens"] == 13
    assert len(chunks) == 4


MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test-1", "stop_reason": "end_turn",
    "stop_sequence": None, "content": [{"type": "text", "text": "hello"}],
    "usage": {"input_tokens": 11, "output_tokens": 5},
}  # fmt: skip


def _events() -> list[bytes]:
    start = {
        "type": "message_start",
        "message": {**MESSAGE, "content": [], "usage": {"input_tokens": 11, "output_tokens": 1}},
    }
    told = [
        start,
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in told]


def _anthropic(server: Loopback, *, stream: bool) -> Any:
    with Anthropic(base_url=server.url(), api_key="k", max_retries=0) as client:
        words: Any = {"model": "claude-test-1", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        if not stream:
            return client.messages.create(**words).model_dump()
        with client.messages.stream(**words) as events:
            return events.get_final_message().model_dump()


async def _aanthropic(server: Loopback, *, stream: bool) -> Any:
    async with AsyncAnthropic(base_url=server.url(), api_key="k", max_retries=0) as client:
        words: Any = {"model": "claude-test-1", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        if not stream:
            return (await client.messages.create(**words)).model_dump()
        async with client.messages.stream(**words) as events:
            return (await events.get_final_message()).model_dump()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
def test_anthropics_client_is_metered(stream: bool, is_async: bool, server: Loopback, recorded: RecordedMeter) -> None:
    """Whole and streamed, its message is the same, and counted from the wire."""

    def ask() -> Any:
        return asyncio.run(_aanthropic(server, stream=stream)) if is_async else _anthropic(server, stream=stream)

    if stream:
        server.say(Answer(_events(), headers=SSE, framing="chunked"))
    else:
        server.say(Answer([json.dumps(MESSAGE).encode()]))
    plain = ask()
    instrument(recorded.meter, include_usage=True, providers={"127.0.0.1": "anthropic"})
    with recorded.meter.run(account_id="a") as run, run.node("n"):
        assert ask() == plain
    uninstrument()
    (event,) = recorded.events
    assert event.ai is not None
    assert event.http is not None
    assert (event.ai.provider, event.ai.model, event.ai.response_id) == ("anthropic", "claude-test-1", "msg_1")
    assert (event.ai.input_tokens, event.ai.output_tokens, event.ai.quality) == (11, 5, "reported")
    assert (event.http.requests, event.http.errors) == (1, 0)
