"""The tap of urllib3, version 2. Each try of a pool is a request; bytes are counted where the socket's file is read.

botocore and requests send by it. HTTP/2 of urllib3 is not observed beyond its answers' bytes.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from taximeter.instrument.exchange import Exchange
from taximeter.instrument.hide import with_include_usage
from taximeter.instrument.patches import Patches
from taximeter.instrument.policy import Policy
from taximeter.instrument.state import asked_of, begin, header, policy_of
from taximeter.instrument.urllib3_files import ObservedFile, ReadWatch, counted, partial_of

NAME = "urllib3"
_KEY = "_taximeter_exchange"
_BETWEEN_CHUNKS = "_taximeter_between_chunks"


class _Pending:
    """A request whose answer is not there yet. The answer's object takes it over as it is made."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.taken = False


_pending: ContextVar[_Pending | None] = ContextVar("taximeter_urllib3_pending", default=None)


def wrap(module: ModuleType, patches: Patches) -> None:
    """Tap the module `urllib3`."""
    from urllib3.connection import HTTPConnection

    response = module.HTTPResponse
    patches.wrap(module.HTTPConnectionPool, "_make_request", _make_request)
    patches.wrap(HTTPConnection, "request", _request)
    patches.wrap(response, "__init__", _init)
    patches.wrap(response, "_handle_chunk", _handle_chunk)
    patches.wrap(response, "read_chunked", _read_chunked)
    patches.wrap(response, "_update_chunk_length", _update_chunk_length)
    patches.wrap(response, "_error_catcher", _error_catcher)
    patches.wrap(response, "close", _close)


def _make_request(wrapped: Any, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    policy = policy_of(NAME)
    exchange = None if policy is None else _begin(policy, pool, args, kwargs)
    if exchange is None:
        return wrapped(*args, **kwargs)
    token = _pending.set(_Pending(exchange))
    try:
        return wrapped(*args, **kwargs)
    except BaseException as error:
        exchange.failed(error)
        raise
    finally:
        _pending.reset(token)


def _begin(policy: Policy, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exchange | None:
    try:
        method, url = args[1], args[2]
        # To a forwarding proxy the URL is absolute, and names the host that is meant.
        absolute = url if "://" in url.partition("?")[0] else f"{pool.scheme}://{_netloc(pool)}{url}"
        headers = kwargs.get("headers")
        pairs = [] if headers is None else [(_text(k), _text(v)) for k, v in headers.items()]
        asked = asked_of(_text(method), absolute, header(pairs, "host"))
        exchange = begin(policy, asked)
        if policy.include_usage and policy.takes_stream_options(asked):
            _force(exchange, kwargs, pairs)
    except Exception as error:  # noqa: BLE001 - the call goes on, untapped
        policy.faults.note("urllib3.request", error)
        return None
    return exchange


def _netloc(pool: Any) -> str:
    host = f"[{pool.host}]" if ":" in pool.host and not pool.host.startswith("[") else pool.host
    return f"{host}:{pool.port}" if pool.port else host


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _force(exchange: Exchange, kwargs: dict[str, Any], pairs: list[tuple[str, str]]) -> None:
    from urllib3 import HTTPHeaderDict

    body = kwargs.get("body")
    known = body.encode() if isinstance(body, str) else body
    mended = None if not isinstance(known, bytes) or header(pairs, "content-encoding") else with_include_usage(known)
    if mended is None:
        return
    # What we hide must be readable on the wire, so no compression is asked for.
    headers = HTTPHeaderDict(kwargs["headers"])
    headers["Accept-Encoding"] = "identity"
    if "content-length" in headers:
        headers["Content-Length"] = str(len(mended))
    kwargs["headers"], kwargs["body"] = headers, mended
    exchange.forced = True


def _request(wrapped: Any, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    pending = _pending.get()
    if pending is None:
        return wrapped(*args, **kwargs)
    exchange = pending.exchange
    args, kwargs, whole = counted(args, kwargs, exchange)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException:
        # Without a connection nothing has left; with one, how far it came is not known, and the body counts.
        if whole is not None and getattr(connection, "sock", None) is not None:
            exchange.sending(whole)
        raise
    if whole is not None:
        exchange.sending(whole)
    return result


def _init(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    pending = _pending.get()
    if pending is None or pending.taken or kwargs.get("original_response") is None:
        return wrapped(*args, **kwargs)
    pending.taken = True
    exchange = pending.exchange
    try:
        exchange.answered(int(kwargs["status"]), list(kwargs["headers"].items()))
        if not exchange.settled:
            vars(response)[_KEY] = exchange
            weakref.finalize(response, exchange.closed)
            kwargs = kwargs | {"body": ObservedFile(kwargs["body"], exchange, response)}
    except Exception as error:  # noqa: BLE001 - the caller gets the answer as it came
        exchange.faults.note("urllib3.response", error)
    return wrapped(*args, **kwargs)


def _exchange_of(response: Any) -> Exchange | None:
    exchange: Exchange | None = vars(response).get(_KEY)
    return exchange


def _handle_chunk(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    exchange = _exchange_of(response)
    if exchange is None:
        return wrapped(*args, **kwargs)
    try:
        chunk = wrapped(*args, **kwargs)
    except Exception as error:
        exchange.feed(partial_of(error))
        raise
    return exchange.see(chunk)


def _update_chunk_length(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # Where the next chunk is not there, urllib3 closes before it raises; that is no close of the caller's.
    vars(response)[_BETWEEN_CHUNKS] = True
    try:
        return wrapped(*args, **kwargs)
    finally:
        del vars(response)[_BETWEEN_CHUNKS]


def _read_chunked(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    exchange = _exchange_of(response)
    chunks = wrapped(*args, **kwargs)
    return chunks if exchange is None or exchange.hider is None else _with_rest(chunks, exchange)


def _with_rest(chunks: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
    yield from chunks
    if rest := exchange.rest():
        yield rest


def _error_catcher(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    exchange = _exchange_of(response)
    catcher = wrapped(*args, **kwargs)
    return catcher if exchange is None or exchange.settled else ReadWatch(catcher, exchange, response)


def _close(wrapped: Any, response: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    exchange = _exchange_of(response)
    if exchange is not None and not exchange.settled and _BETWEEN_CHUNKS not in vars(response):
        exchange.closed()
    return wrapped(*args, **kwargs)
