"""A schema registry for one schema, on 127.0.0.1: just what deserializers and the engine's AvroConfluent ask for."""

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


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = answer(self.path)
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
