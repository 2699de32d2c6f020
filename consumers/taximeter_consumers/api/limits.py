"""The bounds of a request, kept before anything reads it: URL, headers and body. Pure ASGI: streams stay streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taximeter_consumers.api.problems import Problem, answer
from taximeter_consumers.api.settings import BODY_BYTES, HEADER_BYTES, URL_BYTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Limits:
    """Answers 413, 414 or 431 where a bound is passed. A body is counted as it comes, whatever its header says."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = refusal(scope)
        if problem is not None:
            await answer(problem, scope["request_id"])(scope, receive, send)
            return
        await self._app(scope, _counted(receive), send)


def refusal(scope: Scope) -> Problem | None:
    """What the head of a request already says against it. Pure."""
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > URL_BYTES:
        return Problem("url-too-long", f"keep path and query within {URL_BYTES} bytes; shorten the filters")
    if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES:
        return Problem("headers-too-large", f"keep all headers within {HEADER_BYTES} bytes")
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or len(value) > 12 or int(value) > BODY_BYTES):
            return _too_large()
    return None


def _counted(receive: Receive) -> Receive:
    seen = 0

    async def counting() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY_BYTES:
            raise _too_large()
        return message

    return counting


def _too_large() -> Problem:
    # The rest of the body is not read, so the connection is of no more use.
    said = f"send at most {BODY_BYTES} bytes; split what is more"
    return Problem("body-too-large", said, headers={"Connection": "close"})
