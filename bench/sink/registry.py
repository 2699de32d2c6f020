"""A schema registry for one schema, on 127.0.0.1: just what (de)serializers and the engine's AvroConfluent ask."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from taximeter_schemas import avro_files


def answer(path: str) -> dict[str, object] | None:
    """What is said to a GET of that path; None: there is no such thing."""
    parts = path.partition("?")[0].strip("/").split("/")
    if (
        len(parts) == 3
        and parts[:2] == ["schemas", "ids"]
        and parts[2].isdigit()
        and int(parts[2]) in avro_files.FROZEN
    ):
        return {"schema": json.dumps(avro_files.schema_of(int(parts[2])))}
    return None


def registered(path: str) -> dict[str, object] | None:
    """What is said to a POST of that path, by which a serializer asks for its schema's id: there is one schema."""
    parts = path.partition("?")[0].strip("/").split("/")
    if len(parts) != 2 or parts[0] != "subjects":
        return None
    version = avro_files.CURRENT_VERSION
    return {"subject": parts[1], "id": version, "version": version, "schema": json.dumps(avro_files.schema_of(version))}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._say(answer(self.path))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._say(registered(self.path))

    def _say(self, found: dict[str, object] | None) -> None:
        body = json.dumps(found or {"error_code": 40403, "message": "Schema not found"}).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silence."""


@contextmanager
def serve() -> Iterator[str]:
    """Its URL, for as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, name="schema-registry", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
