"""Streams flow: each chunk reaches the caller before the server has sent the next one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3
from tests.instrument.loopback import Answer, Loopback

from taximeter.instrument import instrument
from taximeter.testing import RecordedMeter

ASKED = b'{"model":"gpt-4o","stream":true,"messages":[]}'
PIECES = [
    b'data: {"id":"c%d","choices":[{"delta":{"content":"piece %d"}}]}\n\n' % (number, number) for number in range(5)
]
URL = "/v1/chat/completions"


def _httpx_raw(module: Any, url: str) -> Iterator[bytes]:
    with module.stream("POST", url, content=ASKED) as answer:
        yield from answer.iter_raw()


def _httpx_lines(module: Any, url: str) -> Iterator[bytes]:
    with module.stream("POST", url, content=ASKED) as answer:
        for line in answer.iter_lines():
            if line:
                yield line.encode() + b"\n\n"


async def _httpx_async(module: Any, url: str) -> AsyncIterator[bytes]:
    async with module.AsyncClient() as client, client.stream("POST", url, content=ASKED) as answer:
        async for chunk in answer.aiter_bytes():
            yield chunk


def _requests(url: str) -> Iterator[bytes]:
    with requests.post(url, data=ASKED, stream=True, timeout=20) as answer:
        yield from answer.iter_content(None)


def _urllib3_read1(url: str) -> Iterator[bytes]:
    answer = urllib3.request("POST", url, body=ASKED, preload_content=False)
    while chunk := answer.read1(65_536):
        yield chunk


def _urllib3_chunks(url: str) -> Iterator[bytes]:
    yield from urllib3.request("POST", url, body=ASKED, preload_content=False).read_chunked()


async def _aiohttp(url: str) -> AsyncIterator[bytes]:
    async with aiohttp.ClientSession() as session, session.post(url, data=ASKED) as answer:
        async for chunk in answer.content.iter_any():
            yield chunk


async def _aiohttp_lines(url: str) -> AsyncIterator[bytes]:
    async with aiohttp.ClientSession() as session, session.post(url, data=ASKED) as answer:
        async for line in answer.content:
            if line != b"\n":
                yield line + b"\n"


def _all(chunks: Iterator[bytes], gates: list[threading.Event]) -> list[bytes]:
    seen = []
    for chunk in chunks:
        seen.append(chunk)
        gates[min(len(seen), len(gates) - 1)].set()
    return seen


async def _all_async(chunks: AsyncIterator[bytes], gates: list[threading.Event]) -> list[bytes]:
    seen = []
    async for chunk in chunks:
        seen.append(chunk)
        gates[min(len(seen), len(gates) - 1)].set()
    return seen


SYNC: dict[str, Callable[[str], Iterator[bytes]]] = {
    "httpx": lambda url: _httpx_raw(httpx, url),
    "httpx2": lambda url: _httpx_raw(httpx2, url),
    "httpx-lines": lambda url: _httpx_lines(httpx, url),
    "requests": _requests,
    "urllib3-read1": _urllib3_read1,
    "urllib3-chunks": _urllib3_chunks,
}
ASYNC: dict[str, Callable[[str], AsyncIterator[bytes]]] = {
    "httpx-async": lambda url: _httpx_async(httpx, url),
    "httpx2-async": lambda url: _httpx_async(httpx2, url),
    "aiohttp": _aiohttp,
    "aiohttp-lines": _aiohttp_lines,
}


@pytest.mark.parametrize("forcing", [True, False])
@pytest.mark.parametrize("library", [*SYNC, *ASYNC])
def test_each_chunk_is_seen_before_the_next_is_sent(
    library: str, forcing: bool, server: Loopback, recorded: RecordedMeter
) -> None:
    """Nothing is held back and nothing read ahead, whether a chunk may have to be hidden or not."""
    instrument(recorded.meter, include_usage=forcing, providers={"127.0.0.1": "openai"})
    gates = [threading.Event() for _ in PIECES]
    gates[0].set()
    server.say(Answer(PIECES, headers={"content-type": "text/event-stream"}, framing="chunked", gates=gates))
    with recorded.meter.run(account_id="a") as run, run.node("n"):
        if library in SYNC:
            seen = _all(SYNC[library](server.url(URL)), gates)
        else:
            seen = asyncio.run(_all_async(ASYNC[library](server.url(URL)), gates))
    assert seen == PIECES
    event = recorded.only()
    assert event.http is not None
    assert event.http.bytes_in == len(b"".join(PIECES))
    assert (b"stream_options" in server.asked[-1].body) == forcing
