"""A file of a page as it goes out: static, the same for everybody.

It is asked for anew on every load and known by its ETag: a new version is taken at once, so that files of two versions
never meet, and an old one costs a 304.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request


@dataclass(frozen=True)
class StaticFile:
    """`policy` is its Content-Security-Policy."""

    content: bytes
    media_type: str
    policy: str

    @cached_property
    def etag(self) -> str:
        """Of the content alone."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'

    def answer(self, request: Request) -> Response:
        """The file, or 304 to whoever has it."""
        headers = {"ETag": self.etag, "Cache-Control": "no-cache", "Content-Security-Policy": self.policy}
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if self.etag in known:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type=self.media_type)
