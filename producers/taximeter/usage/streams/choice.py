"""Chooses how a body is framed, by its Content-Type and first bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from taximeter.usage.streams.array import Items
from taximeter.usage.streams.body import Body
from taximeter.usage.streams.decoder import Decoder
from taximeter.usage.streams.frames import Frames, is_prelude
from taximeter.usage.streams.lines import Lines
from taximeter.usage.streams.sse import Events

_INDENTED = re.compile(rb"\{[ \t]*\r?\n")
"""How an object begins that is spread over lines."""

_EVENT = (b"data", b"event", b"id:", b"retry", b":")


class Silence:
    """A body that states nothing: sound, pictures, pages. Nothing of it is kept."""

    def feed(self, _chunk: bytes) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def end(self) -> Iterable[bytes]:
        """Nothing."""
        return ()


def choose(first: bytes, content_type: str, stream: bool, vectors: bool) -> Decoder:
    """The decoder for a body that begins like this. What the bytes show goes before what the header says."""
    kind = content_type.lower()
    if is_prelude(first):
        return Frames()
    if first.startswith(_EVENT):
        return Events()
    if first.startswith(b"["):
        return Items() if stream else Body(vectors)
    if first.startswith(b"{"):
        lines = (stream or "ndjson" in kind or "jsonl" in kind) and not _INDENTED.match(first)
        return Lines() if lines else Body(vectors)
    if "event-stream" in kind and "amazon" not in kind:
        return Events()
    return Silence()
