"""Around every request: its id, one line in the log, its metrics, and a last net for what nobody foresaw.

A line has the route's template, never the query or a header: filters may hold names, headers hold keys. An error that
nobody foresaw is answered as a problem without a word of it, and logged with its trace; where the answer had begun the
connection is broken, so that nobody takes a part for the whole.
"""

from __future__ import annotations

import re
import secrets
from time import perf_counter
from typing import TYPE_CHECKING, Final

import structlog

from taximeter_consumers.api.problems import Problem, answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from taximeter_consumers.api.metrics import Metrics

_log = structlog.get_logger()
_GIVEN_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_FAILED: Final = "the fault is not yours; tell the operator the instance, the log has the rest under it"


class RequestLog:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["request_id"] = request_id_of(scope)
        begun, status = perf_counter(), 0

        async def telling(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _with_ours(message.get("headers", []), scope["request_id"])}
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(scope, receive, telling)
            except Problem as problem:
                if status:
                    raise
                await answer(problem, scope["request_id"])(scope, receive, telling)
            except Exception:
                _log.exception("request failed", request_id=scope["request_id"], route=_route(scope))
                if status:
                    raise
                await answer(Problem("failed", _FAILED), scope["request_id"])(scope, receive, telling)
            finally:
                self._tell(scope, status, perf_counter() - begun)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(route, method, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        _log.info(
            "request",
            method=method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1000, 1),
            request_id=scope["request_id"],
            key_id=scope.get("state", {}).get("key_id"),
        )


def request_id_of(scope: Scope) -> str:
    """The caller's own id where it is a plain one, else a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _GIVEN_ID.fullmatch(given) else secrets.token_hex(12)


def _with_ours(headers: list[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    there = {name.lower() for name, _ in headers}
    added = [(name, value) for name, value in _HEADERS if name not in there]
    return [*headers, *added, (b"x-request-id", request_id.encode())]


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "") or "none")
