"""The only place where bytes go in or out: takes the steps of a conversation over httpx, blocking or awaiting.

Redirects are not followed, so the key goes nowhere else; httpx's own log has the URL and no header. A transport may be
shared by threads, or by the tasks of one event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from random import Random
from typing import Any, BinaryIO, TypeVar

import httpx

from taximeter.client.call import Call, Reply
from taximeter.client.conversation import Heard, Lost, Step, Steps, Wait, conversation
from taximeter.client.terms import Terms
from taximeter_schemas.errors import Misconfigured

T = TypeVar("T")
_CONNECT_SECONDS = 5.0
# Nothing of the request has left.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_CHUNK = 65_536
_chance = Random()  # noqa: S311 - spreads retries


class Transport:
    """Blocks."""

    def __init__(self, terms: Terms, http: httpx.Client | None = None) -> None:
        self.terms = terms
        self.http = http or httpx.Client(timeout=timeout_of(terms))
        self._is_own = http is None
        self._closed = threading.Event()

    def ask(self, call: Call[T], into: BinaryIO | None = None) -> T:
        """The call's answer. Raises ApiProblem and Misconfigured."""
        return self.take(conversation(call, self.terms.patience, _chance, into))

    def take(self, steps: Steps[T]) -> T:
        """Takes the steps."""
        heard: Heard = None
        try:
            while True:
                heard = self._do(steps.send(heard))
        except StopIteration as end:
            answer: T = end.value
            return answer

    def _do(self, step: Step) -> Heard:
        if isinstance(step, Wait):
            self.wait(step.seconds)
            return None
        try:
            with self.http.stream(**request_of(self.terms, step.call)) as response:
                if step.into is None or response.status_code >= 400:
                    return Reply(response.status_code, headers_of(response), response.read())
                _emptied(step.into)
                for chunk in response.iter_bytes(_CHUNK):
                    step.into.write(chunk)
                return Reply(response.status_code, headers_of(response), b"")
        except httpx.HTTPError as error:
            return lost(error)

    def wait(self, seconds: float) -> None:
        """Lets time pass; a close ends it."""
        self._closed.wait(seconds)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed.is_set()

    def close(self) -> None:
        """Closes the connections that are its own."""
        self._closed.set()
        if self._is_own:
            self.http.close()


class AsyncTransport:
    """Awaits."""

    def __init__(self, terms: Terms, http: httpx.AsyncClient | None = None) -> None:
        self.terms = terms
        self.http = http or httpx.AsyncClient(timeout=timeout_of(terms))
        self._is_own = http is None
        self.is_closed = False

    async def ask(self, call: Call[T], into: BinaryIO | None = None) -> T:
        """See Transport."""
        return await self.take(conversation(call, self.terms.patience, _chance, into))

    async def take(self, steps: Steps[T]) -> T:
        """See Transport."""
        heard: Heard = None
        try:
            while True:
                heard = await self._do(steps.send(heard))
        except StopIteration as end:
            answer: T = end.value
            return answer

    async def _do(self, step: Step) -> Heard:
        if isinstance(step, Wait):
            await self.wait(step.seconds)
            return None
        try:
            async with self.http.stream(**request_of(self.terms, step.call)) as response:
                if step.into is None or response.status_code >= 400:
                    return Reply(response.status_code, headers_of(response), await response.aread())
                await asyncio.to_thread(_emptied, step.into)
                async for chunk in response.aiter_bytes(_CHUNK):
                    await asyncio.to_thread(step.into.write, chunk)
                return Reply(response.status_code, headers_of(response), b"")
        except httpx.HTTPError as error:
            return lost(error)

    async def wait(self, seconds: float) -> None:
        """Lets time pass."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """See Transport."""
        self.is_closed = True
        if self._is_own:
            await self.http.aclose()


def request_of(terms: Terms, call: Call[object]) -> dict[str, Any]:
    """httpx's words for a call. Raises Misconfigured."""
    return {
        "method": call.method,
        "url": terms.url(call),
        "params": list(call.query),
        "content": call.body,
        "headers": terms.headers(call),
        "follow_redirects": False,
    }


def timeout_of(terms: Terms) -> httpx.Timeout:
    """A server that is not there is noticed sooner than one that works."""
    return httpx.Timeout(terms.timeout, connect=min(terms.timeout, _CONNECT_SECONDS))


def headers_of(response: httpx.Response) -> Mapping[str, str]:
    """By names in lower case."""
    return {name.lower(): value for name, value in response.headers.items()}


def lost(error: httpx.HTTPError) -> Lost:
    """What httpx raises, once. Raises Misconfigured where asking again is of no use."""
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        raise Misconfigured("this request cannot be sent over HTTP", mend="look at the base_url and the key") from None
    # Not its text: that may quote what was sent.
    return Lost(type(error).__name__, was_sent=not isinstance(error, _UNSENT))


def _emptied(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()
