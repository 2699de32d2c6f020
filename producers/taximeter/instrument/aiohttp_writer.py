"""aiohttp's writer with a count of the body in it."""

from __future__ import annotations

from typing import Any

import wrapt

from taximeter.instrument.exchange import Exchange


class CountedWriter(wrapt.ObjectProxy[Any]):
    """Counts what the body writes, before chunks are framed."""

    def __init__(self, writer: Any, exchange: Exchange) -> None:
        super().__init__(writer)
        self._self_exchange = exchange

    async def write(self, chunk: Any, *args: Any, **kwargs: Any) -> Any:
        self._self_exchange.sending(chunk)
        return await self.__wrapped__.write(chunk, *args, **kwargs)

    async def write_eof(self, chunk: Any = b"") -> Any:
        if chunk:
            self._self_exchange.sending(chunk)
        return await self.__wrapped__.write_eof(chunk)
