"""`/dashboard` and its files: static, read once when the application is made, the same for everybody.

The page has no data in it: what it shows it asks for with the key of whoever signs in. Every file is checked by its
ETag on each load, so that a new version is taken at once and an old one costs a 304.
"""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

    from fastapi import FastAPI
    from starlette.requests import Request

PREFIX: Final = "/dashboard/static/"
_INDEX: Final = "index.html"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class File:
    """A file as it goes out."""

    content: bytes
    media_type: str
    etag: str


def register(app: FastAPI) -> None:
    """Puts the page and its files on the application."""
    files = static_files()

    async def page(request: Request) -> Response:
        return _answer(request, files[_INDEX])

    async def static(request: Request) -> Response:
        found = files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return _answer(request, found)

    app.add_route("/dashboard", page, include_in_schema=False)
    app.add_route(PREFIX + "{name:path}", static, include_in_schema=False)


def static_files() -> Mapping[str, File]:
    """All files of the page by their path below `/dashboard/static/`."""
    return dict(_read(resources.files("taximeter_consumers.api") / "dashboard", ""))


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, File]]:
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            yield from _read(entry, f"{name}/")
        else:
            content = entry.read_bytes()
            yield name, File(content, _type_of(name), f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _type_of(name: str) -> str:
    suffix = name[name.rfind(".") :] if "." in name else ""
    return _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "text/plain"


def _answer(request: Request, file: File) -> Response:
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if file.etag in known:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)
