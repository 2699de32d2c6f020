"""How a long-running command is seen from outside: `/metrics` and `/healthz` on a port of its own.

The server runs on a thread beside the work, answers while the work is stuck, and ends with it; a port that is taken
ends the command with its mend. `/metrics` has what the service counts, when its loop last turned, and its last errors,
which are taken from the log's warnings and errors. `/healthz` is 200 while the loop turns: a broker that is away does
not make a service sick, as to start it again would help nobody. Neither asks a server anything.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from taximeter_infra.signals import StopSign

BEAT: Final = "taximeter_service_beat_timestamp_seconds"
LAST_ERROR: Final = "taximeter_service_last_error_timestamp_seconds"
PATIENCE: Final = {"sink": 300.0, "aggregator": 1_800.0, "quota": 120.0, "quota-alerts": 900.0, "invoices": 3_600.0}
"""Service to the seconds without a turn after which it is sick: a tick over a backlog, or one webhook, may be long,
and an INSERT waits for two minutes for a ClickHouse that says nothing."""
_LEVELS: Final = frozenset({"warning", "error", "critical"})
_KINDS: Final = {
    "not stored yet": "not_stored",
    "commit not taken yet": "commit",
    "last commit not taken": "commit",
    "joining the group anew": "joined_anew",
    "PARTITION STOPPED": "partition_stopped",
    "RECORDS ARE MISSING": "missing",
    "COMMANDS ARE MISSING": "missing",
    "partitions lost": "partitions_lost",
    "Kafka reports an error": "kafka",
    "commands were passed over": "kafka",
    "rows are missing": "rows_missing",
    "tick failed": "tick",
    "no tick": "tick",
    "a tick went wrong": "tick",
    "ClickHouse does not answer": "clickhouse",
    "checkpoint rolled back": "checkpoint",
    "last checkpoint not taken": "checkpoint",
    "not sent": "not_sent",
    "passed by": "passed_by",
    "ALERT GIVEN UP": "alert_given_up",
    "invoices not issued": "invoices",
    "waiting for": "waiting",
}
KINDS: Final = (*dict.fromkeys(_KINDS.values()), "other")


def kind_of(event: str) -> str:
    """The kind of a line of the log that warns, by its beginning."""
    return next((kind for begin, kind in _KINDS.items() if event.startswith(begin)), "other")


class Served:
    """What one service says of itself. `registry` has what it counts."""

    def __init__(self, service: str, stop: StopSign, registry: CollectorRegistry | None = None) -> None:
        self.service = service
        self._stop = stop
        self._registry = registry or CollectorRegistry()
        # When the loop last turned.
        Gauge(BEAT, "Last turn of the loop", ("service",), registry=self._registry).labels(service).set_function(
            lambda: stop.looked_at
        )
        # Warnings and errors of the log, and when each kind last came.
        self._errors = Counter(
            "taximeter_service_errors", "Warnings and errors", ("service", "kind"), registry=self._registry
        )
        self._last = Gauge(LAST_ERROR, "When one last came", ("service", "kind"), registry=self._registry)

    def note(self, _logger: object, level: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """A processor for structlog: takes note of what warns and hands the line on as it is."""
        if line.get("level", level) in _LEVELS:
            kind = kind_of(str(line.get("event", "")))
            self._errors.labels(self.service, kind).inc()
            self._last.labels(self.service, kind).set(time.time())
        return line

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)

    def health(self) -> tuple[HTTPStatus, dict[str, Any]]:
        """Whether the loop turns."""
        age = max(time.time() - self._stop.looked_at, 0.0)
        alive = age <= PATIENCE[self.service]
        told = {"service": self.service, "status": "alive" if alive else "stuck", "beat_seconds": round(age, 3)}
        return HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, told

    @contextmanager
    def at(self, place: str) -> Iterator[int]:
        """Serves at HOST:PORT within the block; gives the port, as 0 takes a free one. Raises Misconfigured."""
        host, port = parsed(place)
        try:
            server = ThreadingHTTPServer((host, port), type("Handler", (_Handler,), {"served": self}))
        except OSError as error:
            raise Misconfigured(
                f"metrics cannot be served at {place} ({error.strerror})",
                mend="give --metrics or TAXIMETER_METRICS another port; each process has its own",
            ) from error
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def parsed(place: str) -> tuple[str, int]:
    """Host (127.0.0.1 where none is named) and port of `HOST:PORT`, `:PORT` or `PORT`. Raises Misconfigured."""
    host, _, port = place.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise Misconfigured(f"{place!r} is no place for metrics", mend="write it as HOST:PORT, such as 127.0.0.1:9100")
    return host.strip("[]") or "127.0.0.1", int(port)


class _Handler(BaseHTTPRequestHandler):
    served: Served
    timeout = 10

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, self.served.text())
        elif path == "/healthz":
            status, told = self.served.health()
            self._answer(status, "application/json", json.dumps(told).encode())
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"there are /metrics and /healthz\n")

    def log_message(self, *_: object) -> None:
        """Nothing: scrapes are no news."""

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
