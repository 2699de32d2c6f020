"""One call of httpx or httpx2: the request as it goes out, the answer as the caller reads it."""

from __future__ import annotations

import weakref
from types import ModuleType
from typing import Any, Self

from taximeter.instrument.exchange import Exchange
from taximeter.instrument.hide import with_include_usage
from taximeter.instrument.httpx_streams import Streams
from taximeter.instrument.policy import Asked
from taximeter.instrument.state import asked_of, begin, header, policy_of, watching


class Family:
    """A module of the family, under its name, with its own stream classes."""

    def __init__(self, module: ModuleType, library: str) -> None:
        self.module = module
        self.library = library
        self.streams = Streams(module)


class Call:
    """What a tap needs to remember between the request and the answer."""

    def __init__(self, family: Family, exchange: Exchange, request: Any, *, is_async: bool) -> None:
        self.exchange = exchange
        self.request = request
        self._family = family
        self._is_async = is_async
        self._stream = request.stream

    @classmethod
    def begin(cls, family: Family, args: tuple[Any, ...], kwargs: dict[str, Any], *, is_async: bool) -> Self | None:
        """The request of a transport, its body made to be counted; None to let the call pass."""
        policy = policy_of(family.library)
        if policy is None:
            return None
        try:
            request = args[0] if args else kwargs["request"]
            asked = _asked(request)
            exchange = begin(policy, asked)
            if policy.include_usage and policy.takes_stream_options(asked):
                request = _forced(family, request, exchange)
            call = cls(family, exchange, request, is_async=is_async)
            request.stream = family.streams.counted(request.stream, exchange, is_async=is_async)
        except Exception as error:  # noqa: BLE001 - the call goes on, untapped
            policy.faults.note(f"{family.library}.request", error)
            return None
        return call

    @classmethod
    def look(cls, family: Family, args: tuple[Any, ...], kwargs: dict[str, Any], *, is_async: bool) -> Self | None:
        """The request of a client, untouched: a transport below may be tapped; None to let the call pass."""
        policy = policy_of(family.library)
        if policy is None:
            return None
        try:
            request = args[0] if args else kwargs["request"]
            return cls(family, Exchange(policy, _asked(request)), request, is_async=is_async)
        except Exception as error:  # noqa: BLE001 - the call goes on, untapped
            policy.faults.note(f"{family.library}.client", error)
            return None

    def restore(self) -> None:
        """Give the request its own body back: a redirect or a retry may send it again."""
        self.request.stream = self._stream

    def answered_in_hindsight(self, response: Any) -> Any:
        """The answer of a transport that no tap knows; its request is counted by what it holds."""
        watch = watching.get()
        if watch is not None:
            watch.seen = True
        return self.answered(response)

    def answered(self, response: Any) -> Any:
        """The answer, its body made to be observed. In case of a fault of ours, the answer as it is."""
        exchange = self.exchange
        try:
            if not exchange.bytes_out and isinstance(self._stream, self._family.module.ByteStream):
                # A transport inside the process takes the body as it lies in memory.
                exchange.sending(b"".join(self._stream))
            exchange.answered(response.status_code, response.headers.multi_items())
            if exchange.settled:
                return response
            if response.is_closed:
                return self._in_memory(response)
            stream = self._family.streams.observed(response.stream, exchange, is_async=self._is_async)
            weakref.finalize(stream, exchange.closed)
            response.stream = stream
        except Exception as error:  # noqa: BLE001 - the caller gets the answer as it came
            exchange.faults.note(f"{self._family.library}.response", error)
        return response

    def _in_memory(self, response: Any) -> Any:
        whole = b"".join(response.stream) if isinstance(response.stream, self._family.module.ByteStream) else b""
        seen = self.exchange.see(whole) + self.exchange.rest()
        self.exchange.complete()
        if seen == whole:
            return response
        return self._family.module.Response(
            response.status_code, headers=response.headers, content=seen, extensions=response.extensions
        )


def _asked(request: Any) -> Asked:
    return asked_of(request.method, str(request.url), request.headers.get("host"))


def _forced(family: Family, request: Any, exchange: Exchange) -> Any:
    """The request with `include_usage`, as a request of its own: the caller's stays as it is."""
    if not isinstance(request.stream, family.module.ByteStream):
        return request
    body = with_include_usage(b"".join(request.stream))
    if body is None or header(request.headers.multi_items(), "content-encoding"):
        return request
    exchange.forced = True
    # What we hide must be readable on the wire, so no compression is asked for.
    mended = {b"content-length": str(len(body)).encode(), b"accept-encoding": b"identity"}
    headers = [(name, mended.get(name.lower(), value)) for name, value in request.headers.raw]
    return family.module.Request(
        request.method, request.url, headers=headers, content=body, extensions=request.extensions
    )
