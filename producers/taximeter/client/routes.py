"""Routes as methods: written once, they answer at once on a `Taximeter` and are awaited on an `AsyncTaximeter`.

`Route` wraps a function that makes a call. `Listing` wraps one that makes the call for a page, and walks the pages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar, overload

from taximeter.client.call import Call
from taximeter.client.transport import AsyncTransport, Transport

P = ParamSpec("P")
T = TypeVar("T")
One = TypeVar("One")
AnyPage = TypeVar("AnyPage")
Carrier = TypeVar("Carrier", bound=Transport | AsyncTransport)


class Resource(Generic[Carrier]):
    """Methods that belong together, over a transport."""

    def __init__(self, transport: Carrier) -> None:
        self.transport = transport


class Route(Generic[P, T]):
    """A method of a resource that is one call."""

    def __init__(self, call: Callable[P, Call[T]]) -> None:
        self.call = call
        self.__doc__ = call.__doc__

    @overload
    def __get__(self, one: None, owner: type) -> Route[P, T]: ...
    @overload
    def __get__(self, one: Resource[Transport], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, one: Resource[AsyncTransport], owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, one: Any, owner: type) -> Any:
        if one is None:
            return self
        transport = one.transport

        @wraps(self.call)
        def ask(*args: P.args, **words: P.kwargs) -> Any:
            return transport.ask(self.call(*args, **words))

        return ask


@dataclass(frozen=True)
class Walk(Generic[One]):
    """How a listing is walked: the call for the page at a cursor, and what a page has."""

    page: Callable[[str | None], Call[Any]]
    rows: Callable[[Any], Sequence[One]]


class Pages(Generic[One]):
    """All rows, fetched page by page while they are read; it may be read again, which asks again."""

    def __init__(self, transport: Transport, walk: Walk[One]) -> None:
        self._transport = transport
        self._walk = walk

    def __iter__(self) -> Iterator[One]:
        cursor = None
        while True:
            page = self._transport.ask(self._walk.page(cursor))
            yield from self._walk.rows(page)
            cursor = page.next_cursor
            if cursor is None:
                return


class AsyncPages(Generic[One]):
    """The same for `async for`."""

    def __init__(self, transport: AsyncTransport, walk: Walk[One]) -> None:
        self._transport = transport
        self._walk = walk

    async def __aiter__(self) -> AsyncIterator[One]:
        cursor = None
        while True:
            page = await self._transport.ask(self._walk.page(cursor))
            for one in self._walk.rows(page):
                yield one
            cursor = page.next_cursor
            if cursor is None:
                return


class Listing(Generic[P, One]):
    """A method that gives all rows of all pages. `words` has its signature, `call` makes the call for a page."""

    def __init__(
        self, words: Callable[P, None], call: Callable[..., Call[AnyPage]], rows: Callable[[AnyPage], Sequence[One]]
    ) -> None:
        self.words = words
        self.call = call
        self.rows = rows
        self.__doc__ = words.__doc__

    @overload
    def __get__(self, one: None, owner: type) -> Listing[P, One]: ...
    @overload
    def __get__(self, one: Resource[Transport], owner: type) -> Callable[P, Pages[One]]: ...
    @overload
    def __get__(self, one: Resource[AsyncTransport], owner: type) -> Callable[P, AsyncPages[One]]: ...
    def __get__(self, one: Any, owner: type) -> Any:
        if one is None:
            return self
        pages: Any = Pages if isinstance(one.transport, Transport) else AsyncPages

        @wraps(self.words)
        def walk(*args: P.args, **words: P.kwargs) -> Any:
            found = Walk(lambda cursor: self.call(*args, **words, cursor=cursor), self.rows)
            return pages(one.transport, found)

        return walk
