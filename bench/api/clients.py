"""Callers over loopback: each a thread with a connection of its own that is kept, as a product's back end keeps it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Target:
    """A server, and what every request to it carries."""

    host: str
    port: int
    headers: dict[str, str] = field(default_factory=dict)


def clickhouse_target(url: str) -> Target:
    """The HTTP interface of ClickHouse; the password goes into headers."""
    parts = urlsplit(url)
    sent = {"X-ClickHouse-User": unquote(parts.username or ""), "X-ClickHouse-Key": unquote(parts.password or "")}
    return Target(parts.hostname or "", parts.port or 8123, sent)


def ask(target: Target, paths: Sequence[str], clients: int) -> list[float]:
    """Milliseconds of each request, from before it is sent until its answer is read; `clients` of them at a time.

    Raises RuntimeError for an answer that is not 200: then the times mean nothing."""
    with ThreadPoolExecutor(clients) as threads:
        shares = [paths[number::clients] for number in range(clients)]
        return [
            taken for found in threads.map(lambda share: _one_after_another(target, share), shares) for taken in found
        ]


def _one_after_another(target: Target, paths: Sequence[str]) -> list[float]:
    taken = []
    with ExitStack() as held:
        line = held.enter_context(closing(HTTPConnection(target.host, target.port, timeout=60)))
        line.connect()
        for path in paths:
            began = time.perf_counter()
            line.request("GET", path, headers=target.headers)
            answer = line.getresponse()
            body = answer.read()
            taken.append((time.perf_counter() - began) * 1e3)
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} for {path}: {body[:500]!r}")
    return taken
