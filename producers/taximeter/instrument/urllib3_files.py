"""Files of urllib3 with an observer in them: the body that is sent, the socket's file that is read."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import wrapt

from taximeter.instrument.exchange import Exchange

_Call = tuple[tuple[Any, ...], dict[str, Any], Any]


def counted(args: tuple[Any, ...], kwargs: dict[str, Any], exchange: Exchange) -> _Call:
    """The arguments of `HTTPConnection.request(method, url, body, ...)` with the body counted as it is sent.

    A body that lies whole in memory stays as it is, and is given back to be counted when it has left.
    """
    body = args[2] if len(args) > 2 else kwargs.get("body")
    if body is None:
        return args, kwargs, None
    if isinstance(body, str | bytes | bytearray | memoryview):
        return args, kwargs, body
    if hasattr(body, "read"):
        observed: Any = _CountedFile(body, exchange)
    else:
        try:
            memoryview(body)
        except TypeError:
            observed = _counted_pieces(body, exchange)
        else:
            return args, kwargs, body
    if len(args) > 2:
        return (*args[:2], observed, *args[3:]), kwargs, None
    return args, kwargs | {"body": observed}, None


def _counted_pieces(body: Any, exchange: Exchange) -> Iterator[Any]:
    for piece in body:
        exchange.sending(piece)
        yield piece


class _CountedFile(wrapt.ObjectProxy[Any]):
    """A body that is read to be sent."""

    def __init__(self, file: Any, exchange: Exchange) -> None:
        super().__init__(file)
        self._self_exchange = exchange

    def read(self, *args: Any, **kwargs: Any) -> Any:
        piece = self.__wrapped__.read(*args, **kwargs)
        if piece:
            self._self_exchange.sending(piece)
        return piece


class ObservedFile(wrapt.ObjectProxy[Any]):
    """The answer as the socket gives it, chunked framing undone. Reads of chunks by `_safe_read` are seen elsewhere."""

    def __init__(self, file: Any, exchange: Exchange, response: Any) -> None:
        super().__init__(file)
        self._self_exchange = exchange
        self._self_response = weakref.ref(response)
        # What may be shown but was not asked for yet. Only where a chunk is hidden.
        self._self_ready = b""

    def read(self, amt: int | None = None) -> bytes:
        return self._observed(self.__wrapped__.read, amt)

    def read1(self, amt: int = -1) -> bytes:
        return self._observed(self.__wrapped__.read1, amt)

    def isclosed(self) -> bool:
        return not self._self_ready and bool(self.__wrapped__.isclosed())

    @property
    def closed(self) -> bool:
        return not self._self_ready and bool(self.__wrapped__.closed)

    def _observed(self, read: Any, amt: int | None) -> bytes:
        exchange: Exchange = self._self_exchange
        if exchange.hider is None and not self._self_ready:
            chunk = self._partly(read, amt)
            exchange.feed(chunk)
            return chunk
        limit = None if amt is None or amt < 0 else amt
        while not self._self_ready and limit != 0:
            chunk = self._partly(read, amt)
            before = exchange.hider.hidden if exchange.hider else 0
            self._self_ready = exchange.see(chunk)
            if not chunk or limit is None or self.__wrapped__.isclosed():
                self._self_ready += exchange.rest()
            self._shorten(exchange.hider.hidden - before if exchange.hider else 0)
            if not chunk or limit is None:
                break
        shown, self._self_ready = self._self_ready[:limit], b"" if limit is None else self._self_ready[limit:]
        return shown

    def _partly(self, read: Any, amt: int | None) -> bytes:
        try:
            chunk: bytes = read() if amt is None else read(amt)
        except Exception as error:
            # What came before the connection broke has crossed the wire, though the caller never sees it.
            self._self_exchange.feed(partial_of(error))
            raise
        return chunk

    def _shorten(self, hidden: int) -> None:
        response = self._self_response()
        if hidden and response is not None and response.length_remaining is not None:
            response.length_remaining -= hidden


def partial_of(error: BaseException) -> bytes:
    """The bytes that came before a reading broke off, as the standard library's error holds them."""
    partial = getattr(error, "partial", b"")
    return partial if isinstance(partial, bytes) else b""


class ReadWatch:
    """Around urllib3's own handler of errors while it reads: how the reading ended."""

    def __init__(self, catcher: AbstractContextManager[Any], exchange: Exchange, response: Any) -> None:
        self._catcher = catcher
        self._exchange = exchange
        self._response = response

    def __enter__(self) -> Any:
        return self._catcher.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            handled = self._catcher.__exit__(kind, error, trace)
        except BaseException as raised:
            self._exchange.failed(raised)
            raise
        if error is not None and not handled:
            self._exchange.failed(error)
        elif self._response.isclosed():
            self._exchange.complete()
        return handled
