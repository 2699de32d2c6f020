"""A stream as an answer: heads, frames, heartbeats, until it ends or its reader is gone or too slow.

A reader that takes nothing for a while is dropped: its connection is broken, since nothing more can be said on it.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from taximeter_consumers.api.models.stream import StreamTrouble
from taximeter_consumers.api.stream.frames import HEARTBEAT, MEDIA_TYPE, RETRY, frame
from taximeter_consumers.api.stream.looking import text_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from taximeter_consumers.api.services import Services
    from taximeter_consumers.api.stream.board import Reader
    from taximeter_consumers.api.stream.streams import Streams

HEARTBEAT_SECONDS: Final = 15.0
_BUFFER_BYTES: Final = 32 * 1024
_LAST: Final = 2**53 - 1


class EventStream(Response):
    """Closes its reader when it is over."""

    media_type = MEDIA_TYPE

    def __init__(self, streams: Streams, reader: Reader, services: Services) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._streams = streams
        self._reader = reader
        self._metrics = services.metrics
        self._stall_seconds = services.settings.stream_stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends until the end."""
        transport = scope.get("state", {}).get("transport")
        listening = asyncio.create_task(_gone(receive, self._reader))
        try:
            _keep_little(transport, self._stall_seconds)
            await self._send(send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._tell(send)
        except TimeoutError:
            self._metrics.dropped_streams.inc()
            if transport is not None:
                transport.abort()
                # The server learns of it before this returns.
                await asyncio.sleep(0)
        finally:
            listening.cancel()
            self._streams.close(self._reader)

    async def _tell(self, send: Send) -> None:
        reader, frames = self._reader, RETRY
        while reader.ending is None:
            frames += reader.take()
            await self._send(send, {"type": "http.response.body", "body": frames or HEARTBEAT, "more_body": True})
            frames = b""
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await reader.wake.wait()
        last = reader.ending
        body = frame(_LAST, "trouble", text_of(StreamTrouble(detail=last))) if last else b""
        await self._send(send, {"type": "http.response.body", "body": body, "more_body": False})

    async def _send(self, send: Send, message: dict[str, object]) -> None:
        """Raises TimeoutError where the reader takes nothing for too long."""
        async with asyncio.timeout(self._stall_seconds):
            await send(message)


async def _gone(receive: Receive, reader: Reader) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    reader.end()


def _keep_little(transport: asyncio.Transport | None, stall_seconds: float) -> None:
    """Lets the system hold little for a reader, and notice one that has vanished without a word."""
    found = transport.get_extra_info("socket") if transport is not None else None
    if transport is None or found is None:
        return
    transport.set_write_buffer_limits(high=_BUFFER_BYTES)
    with suppress(OSError):
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stall_seconds * 1_000))
