"""The same call by each library, sync and async, read whole and as a stream: (status, body, chunks)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx
import httpx2
import requests
import urllib3


@dataclass(frozen=True)
class Post:
    """What to send, and how long to wait for each read."""

    url: str
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    timeout: float = 20.0


@dataclass(frozen=True)
class Got:
    """What the caller saw."""

    status: int
    body: bytes
    chunks: tuple[bytes, ...] = ()


Driver = Callable[[Post], Got]


def _httpx_like(module: Any) -> dict[str, Driver]:
    def read(post: Post) -> Got:
        with module.Client(timeout=post.timeout, trust_env=False) as client:
            answer = client.post(post.url, content=post.body, headers=post.headers)
            return Got(answer.status_code, answer.content)

    def stream(post: Post) -> Got:
        with (
            module.Client(timeout=post.timeout, trust_env=False) as client,
            client.stream("POST", post.url, content=post.body, headers=post.headers) as answer,
        ):
            chunks = tuple(answer.iter_bytes())
            return Got(answer.status_code, b"".join(chunks), chunks)

    def raw(post: Post) -> Got:
        with (
            module.Client(timeout=post.timeout, trust_env=False) as client,
            client.stream("POST", post.url, content=post.body, headers=post.headers) as answer,
        ):
            chunks = tuple(answer.iter_raw())
            return Got(answer.status_code, b"".join(chunks), chunks)

    async def aread(post: Post) -> Got:
        async with module.AsyncClient(timeout=post.timeout, trust_env=False) as client:
            answer = await client.post(post.url, content=post.body, headers=post.headers)
            return Got(answer.status_code, answer.content)

    async def astream(post: Post) -> Got:
        async with (
            module.AsyncClient(timeout=post.timeout, trust_env=False) as client,
            client.stream("POST", post.url, content=post.body, headers=post.headers) as answer,
        ):
            chunks = tuple([chunk async for chunk in answer.aiter_raw()])
            return Got(answer.status_code, b"".join(chunks), chunks)

    name = module.__name__
    return {
        f"{name}-read": read,
        f"{name}-stream": stream,
        f"{name}-raw": raw,
        f"{name}-async-read": lambda post: asyncio.run(aread(post)),
        f"{name}-async-raw": lambda post: asyncio.run(astream(post)),
    }


def _requests_read(post: Post) -> Got:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(post.url, data=post.body, headers=post.headers, timeout=post.timeout)
        return Got(answer.status_code, answer.content)


def _requests_stream(post: Post) -> Got:
    with requests.Session() as session:
        session.trust_env = False
        with session.post(post.url, data=post.body, headers=post.headers, timeout=post.timeout, stream=True) as answer:
            chunks = tuple(answer.iter_content(None))
            return Got(answer.status_code, b"".join(chunks), chunks)


def _requests_lines(post: Post) -> Got:
    with requests.Session() as session:
        session.trust_env = False
        with session.post(post.url, data=post.body, headers=post.headers, timeout=post.timeout, stream=True) as answer:
            lines = tuple(answer.iter_lines(chunk_size=7))
            return Got(answer.status_code, b"\n".join(lines), lines)


def _urllib3(post: Post, **options: Any) -> Any:
    return urllib3.PoolManager(retries=False).request(
        "POST", post.url, body=post.body, headers=dict(post.headers), timeout=post.timeout, **options
    )


def _urllib3_read(post: Post) -> Got:
    answer = _urllib3(post)
    return Got(answer.status, answer.data)


def _urllib3_stream(post: Post) -> Got:
    answer = _urllib3(post, preload_content=False)
    chunks = tuple(answer.stream())
    answer.release_conn()
    return Got(answer.status, b"".join(chunks), chunks)


def _urllib3_file(post: Post) -> Got:
    answer = _urllib3(post, preload_content=False, decode_content=False)
    chunks = []
    while chunk := answer.read(100):
        assert len(chunk) <= 100
        chunks.append(chunk)
    answer.close()
    return Got(answer.status, b"".join(chunks), tuple(chunks))


def _urllib3_into(post: Post) -> Got:
    answer = _urllib3(post, preload_content=False)
    whole, room = bytearray(), bytearray(33)
    while size := answer.readinto(memoryview(room)):
        whole += room[:size]
    answer.close()
    return Got(answer.status, bytes(whole))


def _urllib3_read1(post: Post) -> Got:
    answer = _urllib3(post, preload_content=False)
    chunks = []
    while chunk := answer.read1(50):
        chunks.append(chunk)
    answer.close()
    return Got(answer.status, b"".join(chunks))


def _session(post: Post) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_read=post.timeout))


async def _aiohttp_read(post: Post) -> Got:
    async with _session(post) as session, session.post(post.url, data=post.body, headers=post.headers) as answer:
        return Got(answer.status, await answer.read())


async def _aiohttp_chunks(post: Post) -> Got:
    async with _session(post) as session, session.post(post.url, data=post.body, headers=post.headers) as answer:
        chunks = tuple([chunk async for chunk, _ in answer.content.iter_chunks()])
        return Got(answer.status, b"".join(chunks), chunks)


async def _aiohttp_lines(post: Post) -> Got:
    async with _session(post) as session, session.post(post.url, data=post.body, headers=post.headers) as answer:
        lines = []
        while line := await answer.content.readline(max_line_length=1 << 26):
            lines.append(line)
        return Got(answer.status, b"".join(lines), tuple(lines))


DRIVERS: dict[str, Driver] = {
    **_httpx_like(httpx),
    **_httpx_like(httpx2),
    "requests-read": _requests_read,
    "requests-stream": _requests_stream,
    "requests-lines": _requests_lines,
    "urllib3-read": _urllib3_read,
    "urllib3-stream": _urllib3_stream,
    "urllib3-file": _urllib3_file,
    "urllib3-into": _urllib3_into,
    "urllib3-read1": _urllib3_read1,
    "aiohttp-read": lambda post: asyncio.run(_aiohttp_read(post)),
    "aiohttp-chunks": lambda post: asyncio.run(_aiohttp_chunks(post)),
    "aiohttp-lines": lambda post: asyncio.run(_aiohttp_lines(post)),
}

# Of these a caller gets the server's chunks one by one, however they arrive.
KEEPS_CHUNKS = ("requests-stream", "urllib3-stream")
