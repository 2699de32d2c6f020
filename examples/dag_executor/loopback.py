"""A small HTTP server on 127.0.0.1, on a port of the system's choice, that goes away without leaving a thread."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self

from typing_extensions import override

log = logging.getLogger(__name__)


class Loopback(ThreadingHTTPServer):
    """Serves from a thread between `start` (or `with`) and `close`; `closing` is set as soon as it should end."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.closing = Event()
        self._failures: Counter[str] = Counter()
        self._connections: set[socket] = set()
        self._lock = Lock()
        self._thread = Thread(target=self.serve_forever, args=(0.05,), name=type(self).__name__)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop accepting, hang up on whoever is still connected, join every thread."""
        self.closing.set()
        self.shutdown()
        self._thread.join()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(SHUT_RDWR)
        self.server_close()

    def get_request(self) -> tuple[socket, Any]:
        connection, address = super().get_request()
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up (its timeout, its cancellation) is no error of the server's."""
        if not isinstance(sys.exception(), ConnectionError):
            log.error("the stub server broke while answering %s\n%s", client_address, traceback.format_exc())

    def fails(self, key: str, times: int) -> bool:
        """True for the first `times` requests with that key."""
        with self._lock:
            self._failures[key] += 1
            return self._failures[key] <= times


class Answer(BaseHTTPRequestHandler):
    """The verbs that both stub servers share."""

    protocol_version = "HTTP/1.1"
    timeout = 30.0
    disable_nagle_algorithm = True
    server: Loopback

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the base class's
        """Silence: the executor's own output is what counts."""

    @property
    def request_key(self) -> str:
        """Names one node of one run, the same on each attempt."""
        return self.headers.get("x-client-request-id", "")

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def send_body(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, status: int, value: Any) -> None:
        self.send_body(status, json.dumps(value).encode())
