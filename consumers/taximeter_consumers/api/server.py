"""The API as a process: one uvicorn that ends when it is told to, after the requests in hand.

Nothing is lost by a kill: what was answered to be there is in Kafka or ClickHouse, and every request may be repeated.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from taximeter_consumers.api.settings import HEADER_BYTES, URL_BYTES
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from fastapi import FastAPI

_DRAIN_SECONDS: Final = 10


class _Connection(H11Protocol):
    """Hands its transport to the application, which may so break off what cannot be said on."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """A connection of its own state."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """Leaves the signals to whoever runs it, and ends streams before it waits for answers in hand."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams have no end of their own."""
        self._ending()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """None of them."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises Misconfigured where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise Misconfigured(
            f"the API cannot listen at {host}:{port} ({error.strerror})",
            mend="give another --port, or 0 for a free one",
        ) from error
    # Connections inherit it. Without it the body of an answer waits 40 ms for the peer to acknowledge the head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(
    app: FastAPI, listener: socket.socket, stop: threading.Event, started: Callable[[], None] = lambda: None
) -> None:
    """Answers until `stop` is set, then ten seconds at most for what is in hand. Calls `started` when it answers."""
    config = uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        # What is longer is answered 400 by the server itself; within, the application says what is too long.
        h11_max_incomplete_event_size=2 * (URL_BYTES + HEADER_BYTES),
    )
    server = _Server(config, app.state.streams.end)
    ended = threading.Event()

    def watch() -> None:
        stop.wait()
        server.should_exit = True

    def announce() -> None:
        while not server.started and not ended.wait(0.02):
            pass
        if server.started:
            started()

    threading.Thread(target=watch, name="api-stop", daemon=True).start()
    threading.Thread(target=announce, name="api-start", daemon=True).start()
    try:
        server.run(sockets=[listener])
    finally:
        ended.set()
        listener.close()
