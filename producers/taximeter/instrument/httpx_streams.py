"""Streams of httpx and httpx2 with an observer in them. They read when they are read, chunk by chunk, never ahead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

from taximeter.instrument.exchange import Exchange


class Streams:
    """The stream classes of a module: each of ours is of the module's kind, sync or async, as the one it holds."""

    def __init__(self, module: ModuleType) -> None:
        sync, asynchronous = (module.SyncByteStream,), (module.AsyncByteStream,)
        self._counted = type("CountedBody", (_CountedBody, *sync), {})
        self._async_counted = type("AsyncCountedBody", (_AsyncCountedBody, *asynchronous), {})
        self._observed = type("ObservedBody", (_ObservedBody, *sync), {})
        self._async_observed = type("AsyncObservedBody", (_AsyncObservedBody, *asynchronous), {})

    def counted(self, stream: Any, exchange: Exchange, *, is_async: bool) -> Any:
        """The body of a request."""
        return (self._async_counted if is_async else self._counted)(stream, exchange)

    def observed(self, stream: Any, exchange: Exchange, *, is_async: bool) -> Any:
        """The body of an answer."""
        return (self._async_observed if is_async else self._observed)(stream, exchange)


class _Held:
    def __init__(self, stream: Any, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange


class _CountedBody(_Held):
    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._exchange.sending(chunk)
            yield chunk

    def close(self) -> None:
        self._stream.close()


class _AsyncCountedBody(_Held):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._exchange.sending(chunk)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _ObservedBody(_Held):
    def __iter__(self) -> Iterator[bytes]:
        return _Chunks(iter(self._stream), self._exchange)

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._exchange.closed()


class _AsyncObservedBody(_Held):
    def __aiter__(self) -> AsyncIterator[bytes]:
        return _AsyncChunks(aiter(self._stream), self._exchange)

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._exchange.closed()


class _Chunks:
    # Not a generator: dropping it drops the library's own, which then ends as it would without us.
    def __init__(self, chunks: Iterator[bytes], exchange: Exchange) -> None:
        self._chunks = chunks
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while True:
            try:
                chunk = next(self._chunks)
            except StopIteration:
                self._exchange.complete()
                if rest := self._exchange.rest():
                    return rest
                raise
            except BaseException as error:
                self._exchange.failed(error)
                raise
            seen = self._exchange.see(chunk)
            if seen or not chunk:
                return seen


class _AsyncChunks:
    def __init__(self, chunks: AsyncIterator[bytes], exchange: Exchange) -> None:
        self._chunks = chunks
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while True:
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                self._exchange.complete()
                if rest := self._exchange.rest():
                    return rest
                raise
            except BaseException as error:
                self._exchange.failed(error)
                raise
            seen = self._exchange.see(chunk)
            if seen or not chunk:
                return seen
