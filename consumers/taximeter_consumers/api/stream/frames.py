"""The text of server-sent events. Pure."""

from __future__ import annotations

from typing import Final

MEDIA_TYPE: Final = "text/event-stream"
HEARTBEAT: Final = b":\n\n"
RETRY: Final = b"retry: 2000\n\n"


def frame(number: int, event: str, data: str) -> bytes:
    """One event; `data` is JSON on one line. Raises ValueError where a line break would make two events of it."""
    if any(mark in text for text in (event, data) for mark in "\r\n"):
        raise ValueError("an event's name and data have no line breaks")
    return f"id: {number}\nevent: {event}\ndata: {data}\n\n".encode()
