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
    """What the registry holds, and what it was asked. `fails_with` makes it answer everything with that status.

    It judges no schema: `incompatible` are the versions with which it finds whatever it is asked about incompatible,
    and with any of them it registers nothing. Its one subject has no mode of its own.
    """

    schemas: dict[int, str] = field(default_factory=dict)
    mode: str = "FULL_TRANSITIVE"
    incompatible: set[int] = field(default_factory=set)
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
        """`/schemas/ids/{id}`, `/subjects/{subject}/versions[/{version}]`, `/config[/{subject}]`."""
        if self._fails():
            return
        match self.path.partition("?")[0].strip("/").split("/"):
            case ["schemas", "ids", number] if int(number) in self.state.schemas:
                self._answer(200, {"schema": self.state.schemas[int(number)]})
            case ["schemas", *_]:
                self._answer(404, {"error_code": 40403, "message": "Schema not found"})
            case ["config"]:
                self._answer(200, {"compatibilityLevel": self.state.mode})
            case ["config", _] if self.state.schemas:
                self._answer(404, {"error_code": 40408, "message": "no compatibility of its own"})
            case ["subjects", _, "versions"] if self.state.schemas:
                self._answer(200, list(range(1, len(self.state.schemas) + 1)))
            case ["subjects", subject, "versions", number] if self.state.schemas:
                schema_id, text = list(self.state.schemas.items())[int(number) - 1]
                found = {"subject": subject, "version": int(number), "id": schema_id, "schema": text}
                self._answer(200, found | {"schemaType": "AVRO"})
            case _:
                self._answer(404, {"error_code": 40401, "message": "Subject not found"})

    def do_POST(self) -> None:
        """`/subjects/{subject}/versions`, `/compatibility/subjects/{subject}/versions/{version}`."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._fails():
            return
        match self.path.partition("?")[0].strip("/").split("/"):
            case ["compatibility", _, _, _, number]:
                self._answer(200, {"is_compatible": int(number) not in self.state.incompatible})
            case _ if self.state.incompatible:
                self._answer(409, {"error_code": 409, "message": "Incompatible schema"})
            case _:
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
