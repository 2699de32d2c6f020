"""The embedded page and its files: static, read once, the same for everybody; the token is in the fragment alone."""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Final

from taximeter_consumers.api.embed.origins import policy
from taximeter_consumers.api.static_file import StaticFile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

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
        app.add_route(path, _answering(StaticFile(text.encode(), media_type, policy(origins))), include_in_schema=False)


def _answering(file: StaticFile) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return file.answer(request)

    return answer
