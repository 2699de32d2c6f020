"""The embedded page and its files: static, read once, the same for everybody; the token is in the fragment alone."""

from __future__ import annotations

import hashlib
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from taximeter_consumers.api.embed.origins import policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI
    from starlette.requests import Request

PAGE: Final = "/embed/usage"
_FILES: Final = {
    PAGE: ("usage.html", "text/html"),
    "/embed/usage.css": ("usage.css", "text/css"),
    "/embed/usage.js": ("usage.js", "text/javascript"),
    "/embed/words.js": ("words.js", "text/javascript"),
    "/embed/stream.js": ("stream.js", "text/javascript"),
}


def register(app: FastAPI, origins: tuple[str, ...]) -> None:
    """Puts the page and its files on the application; `origins` may show it in a frame."""
    for path, (name, media_type) in _FILES.items():
        text = (resources.files("taximeter_consumers.api.embed") / "page" / name).read_text(encoding="utf-8")
        if path == PAGE:
            text = Template(text).substitute(origins=" ".join(origins))
        app.add_route(path, _answering(text.encode(), media_type, policy(origins)), include_in_schema=False)


def _answering(content: bytes, media_type: str, said: str) -> Callable[[Request], Awaitable[Response]]:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    # Asked for anew each time, so that files of two versions never meet.
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Content-Security-Policy": said}

    async def answer(request: Request) -> Response:
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if etag in known:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media_type)

    return answer
