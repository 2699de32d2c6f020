"""The tap of aiohttp: its connector begins a request, its reader is fed with the answer.

Bytes are counted as they arrive at the reader, whether they are read or not; so a chunk is never missed. A reader is
fed with decoded bytes; how many crossed the wire it knows itself. The body of a request that aiohttp compresses is
counted before compression.
"""

from __future__ import annotations

import weakref
from types import ModuleType
from typing import Any

from taximeter.instrument.aiohttp_reader import Feed, feed_of, filtered
from taximeter.instrument.exchange import Exchange
from taximeter.instrument.hide import with_include_usage
from taximeter.instrument.patches import Patches
from taximeter.instrument.policy import Policy
from taximeter.instrument.state import asked_of, begin, policy_of

NAME = "aiohttp"
_KEY = "_taximeter_exchange"


def wrap(module: ModuleType, patches: Patches) -> None:
    """Tap the module `aiohttp`."""
    from aiohttp.client_reqrep import ClientRequest

    patches.wrap(module.BaseConnector, "connect", _connect)
    patches.wrap(ClientRequest, "send", _send)
    patches.wrap(ClientRequest, "write_bytes", _write_bytes)
    patches.wrap(module.ClientResponse, "start", _start)
    patches.wrap(module.ClientResponse, "close", _close)
    patches.wrap(module.ClientResponse, "release", _close)
    patches.wrap(module.StreamReader, "feed_data", _feed_data)
    patches.wrap(module.StreamReader, "feed_eof", _feed_eof)
    patches.wrap(module.StreamReader, "set_exception", _set_exception)
    patches.wrap(module.StreamReader, "_wait", _wait)


async def _connect(wrapped: Any, _connector: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    policy = policy_of(NAME)
    exchange = None if policy is None else _begin(policy, args, kwargs)
    if exchange is None:
        return await wrapped(*args, **kwargs)
    try:
        return await wrapped(*args, **kwargs)
    except BaseException as error:
        exchange.failed(error)
        raise


def _begin(policy: Policy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exchange | None:
    try:
        request = args[0] if args else kwargs["req"]
        asked = asked_of(request.method, str(request.url), request.headers.get("Host"))
        exchange = begin(policy, asked)
        if policy.include_usage and policy.takes_stream_options(asked):
            _force(request, exchange)
        vars(request)[_KEY] = exchange
    except Exception as error:  # noqa: BLE001 - the call goes on, untapped
        policy.faults.note("aiohttp.request", error)
        return None
    return exchange


def _force(request: Any, exchange: Exchange) -> None:
    from aiohttp.payload import BytesPayload

    # A string's payload is one of bytes as well.
    body = request.body
    if not isinstance(body, BytesPayload) or "Content-Encoding" in request.headers:
        return
    mended = with_include_usage(bytes(body._value))  # noqa: SLF001 - a payload has no public way to its bytes
    if mended is None:
        return
    request.body = BytesPayload(mended, content_type=body.content_type)
    if "Content-Length" in request.headers:
        request.headers["Content-Length"] = str(len(mended))
    # What we hide must be readable on the wire, so no compression is asked for.
    request.headers["Accept-Encoding"] = "identity"
    exchange.forced = True


async def _send(wrapped: Any, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    exchange = vars(request).get(_KEY)
    if exchange is None:
        return await wrapped(*args, **kwargs)
    try:
        response = await wrapped(*args, **kwargs)
    except BaseException as error:
        exchange.failed(error)
        raise
    vars(response)[_KEY] = exchange
    return response


async def _write_bytes(wrapped: Any, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    exchange = vars(request).get(_KEY)
    if exchange is not None and args:
        from taximeter.instrument.aiohttp_writer import CountedWriter

        args = (CountedWriter(args[0], exchange), *args[1:])
    return await wrapped(*args, **kwargs)


async def _start(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    exchange: Exchange | None = vars(response).get(_KEY)
    if exchange is None:
        return await wrapped(*args, **kwargs)
    try:
        started = await wrapped(*args, **kwargs)
    except BaseException as error:
        exchange.failed(error)
        raise
    try:
        _observe(response, exchange)
    except Exception as error:  # noqa: BLE001 - the caller gets the answer as it came
        exchange.faults.note("aiohttp.response", error)
    return started


def _observe(response: Any, exchange: Exchange) -> None:
    reader = response.content
    decoded = getattr(reader, "total_compressed_bytes", None) is not None
    exchange.answered(response.status, list(response.headers.items()), decoded=decoded)
    if exchange.settled:
        return
    weakref.finalize(response, exchange.closed)
    feed = Feed(exchange)
    filtered(reader, feed)
    error = reader.exception()
    if error is not None:
        exchange.failed(error)
    # At the reader's end, which may have come already, it calls what it was given.
    reader.on_eof(feed)


def _close(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    exchange: Exchange | None = vars(response).get(_KEY)
    if exchange is not None and not exchange.settled and response.status is not None:
        exchange.closed()
    return wrapped(*args, **kwargs)


def _feed_data(wrapped: Any, reader: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    feed = feed_of(reader)
    if feed is None or not args:
        return wrapped(*args, **kwargs)
    return wrapped(feed.take(reader, args[0]), *args[1:], **kwargs)


def _feed_eof(wrapped: Any, reader: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    feed = feed_of(reader)
    if feed is not None:
        feed.total(reader)
        if rest := feed.exchange.rest():
            reader.feed_data.__wrapped__(rest, len(rest))
    return wrapped(*args, **kwargs)


def _set_exception(wrapped: Any, reader: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    feed = feed_of(reader)
    if feed is not None:
        feed.total(reader)
        error = args[0] if args else kwargs.get("exc")
        if isinstance(error, BaseException):
            feed.exchange.failed(error)
    return wrapped(*args, **kwargs)


async def _wait(wrapped: Any, reader: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    feed = feed_of(reader)
    try:
        return await wrapped(*args, **kwargs)
    except TimeoutError as error:
        # The session's own deadline; it is told to the reader in no other way.
        if feed is not None:
            feed.exchange.failed(error)
        raise
