"""`/dashboard` and its files: static, read once when the application is made, the same for everybody.

The page has no data in it: what it shows it asks for with the key of whoever signs in.
"""

from __future__ import annotations

import mimetypes
from importlib import resources
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException

from taximeter_consumers.api.static_file import StaticFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

PREFIX: Final = "/dashboard/static/"
_INDEX: Final = "index.html"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


def register(app: FastAPI) -> None:
    """Puts the page and its files on the application."""
    files = static_files()

    async def page(request: Request) -> Response:
        return files[_INDEX].answer(request)

    async def static(request: Request) -> Response:
        found = files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return found.answer(request)

    app.add_route("/dashboard", page, include_in_schema=False)
    app.add_route(PREFIX + "{name:path}", static, include_in_schema=False)


def static_files() -> Mapping[str, StaticFile]:
    """All files of the page by their path below `/dashboard/static/`."""
    return dict(_read(resources.files("taximeter_consumers.api") / "dashboard", ""))


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, StaticFile]]:
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            yield from _read(entry, f"{name}/")
        else:
            yield name, StaticFile(entry.read_bytes(), _type_of(name), _POLICY)


def _type_of(name: str) -> str:
    suffix = name[name.rfind(".") :] if "." in name else ""
    return _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "text/plain"
