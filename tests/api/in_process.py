"""Requests to an application in this process, without sockets and without a client: as cheap as they can be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI

_MOST_TRIES = 5


@dataclass(frozen=True)
class Asked:
    """One request. The URL is path and query as they would cross the wire."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True)
class Answered:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def scope_of(asked: Asked) -> dict[str, Any]:
    """The request as a server hands it to an application."""
    path, _, query = asked.url.partition("?")
    sent = {"host": "testserver", "content-length": str(len(asked.body or b"")), **_lower(asked.headers)}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("utf-8")) for name, value in sent.items()],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
        "state": {},
    }


async def ask(app: FastAPI, asked: Asked) -> Answered:
    """One request. A stream without end is left at its beginning."""
    start: dict[str, Any] = {}
    body: list[bytes] = []
    over = asyncio.Event()
    waiting = [{"type": "http.request", "body": asked.body or b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop()
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
            if (b"content-type", b"text/event-stream; charset=utf-8") in message["headers"]:
                over.set()
        else:
            body.append(message.get("body", b""))
            if not message.get("more_body", False):
                over.set()

    await app(scope_of(asked), receive, send)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
    return Answered(start["status"], headers, b"".join(body))


async def ask_all(app: FastAPI, requests: Iterable[Asked], at_once: int = 6) -> list[tuple[Asked, Answered]]:
    """Many, some at a time, in the order of the requests. The application is started and ended around them.

    A 503 that says to try again is asked again, alone: a busy machine is no fault of the API."""
    turns, alone = asyncio.Semaphore(at_once), asyncio.Lock()

    async def one(asked: Asked) -> tuple[Asked, Answered]:
        async with turns:
            answered = await ask(app, asked)
        async with alone:
            for _ in range(_MOST_TRIES):
                if answered.status != 503 or "retry-after" not in answered.headers:
                    break
                answered = await ask(app, asked)
        return asked, answered

    async with app.router.lifespan_context(app):
        return list(await asyncio.gather(*map(one, requests)))


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
