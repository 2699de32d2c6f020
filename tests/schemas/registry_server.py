"""A small real registry on loopback: the Confluent endpoints that Taximeter uses, and failures on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class RegistryState:
    """What the registry holds, and what it was asked. `fails_with` makes it answer everything with that status."""

    schemas: dict[int, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    fails_with: int | None = None
    url: str = ""

    def register(self, text: str) -> int:
        """The id of a schema, a new one if need be."""
        for schema_id, known in self.schemas.items():
            if known == text:
                return schema_id
        schema_id = 101 + len(self.schemas)
        self.schemas[schema_id] = text
        return schema_id


class _Handler(BaseHTTPRequestHandler):
    state: RegistryState

    def do_GET(self) -> None:
        """`/schemas/ids/{id}`."""
        if self._fails():
            return
        schema_id = int(self.path.partition("?")[0].rpartition("/")[2])
        if schema_id in self.state.schemas:
            self._answer(200, {"schema": self.state.schemas[schema_id]})
        else:
            self._answer(404, {"error_code": 40403, "message": "Schema not found"})

    def do_POST(self) -> None:
        """`/subjects/{subject}/versions`."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._fails():
            self._answer(200, {"id": self.state.register(body["schema"])})

    def _fails(self) -> bool:
        self.state.asked.append(f"{self.command} {self.path.partition('?')[0]}")
        self.state.authorizations.append(self.headers.get("Authorization", ""))
        status = self.state.fails_with
        if status is not None:
            self._answer(status, {"error_code": status * 100 + 1, "message": "told to fail"})
        return status is not None

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing on standard error."""


@contextmanager
def registry_server() -> Iterator[RegistryState]:
    """A registry on a free port of loopback."""
    state = RegistryState()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
