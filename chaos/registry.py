"""A Confluent-compatible schema registry on loopback that can be away: what the sink asks of one, and ways to fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from taximeter_infra.stack.room import LOOPBACK, free_ports

_NOT_FOUND = 40403


@dataclass
class SwitchedRegistry:
    """Schemas by id, on a port that stays. It begins away: nobody answers. `asked` counts what it was asked."""

    port: int
    schemas: dict[int, str] = field(default_factory=dict)
    # Answers everything with this status, as a proxy in front of it would.
    fails_with: int | None = None
    asked: int = 0
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{LOOPBACK}:{self.port}"

    def open(self) -> None:
        """From now on somebody answers."""
        handler = type("Handler", (_Handler,), {"registry": self})
        self._server = ThreadingHTTPServer((LOOPBACK, self.port), handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """Away again. Harmless when it was."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def answer(self, path: str) -> tuple[int, Mapping[str, object] | None]:
        """Status and body for a GET."""
        self.asked += 1
        if self.fails_with is not None:
            return self.fails_with, None
        number = path.partition("?")[0].rpartition("/")[2]
        text = self.schemas.get(int(number)) if number.isdigit() else None
        if text is None:
            return 404, {"error_code": _NOT_FOUND, "message": "Schema not found"}
        return 200, {"schema": text}


class _Handler(BaseHTTPRequestHandler):
    registry: SwitchedRegistry

    def do_GET(self) -> None:
        """`/schemas/ids/{id}`."""
        status, body = self.registry.answer(self.path)
        data = b"<html>no</html>" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if body is None else "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing on standard error."""


@contextmanager
def switched_registry() -> Iterator[SwitchedRegistry]:
    """A registry that is away, on a free port."""
    registry = SwitchedRegistry(free_ports(1)[0])
    try:
        yield registry
    finally:
        registry.close()
