"""What aiohttp's reader is fed with, on its way. The observer lies with the reader's callbacks and ends with them."""

# ruff: noqa: SLF001 - a reader has no public way to change what it holds
from __future__ import annotations

from collections import deque
from typing import Any

from taximeter.instrument.exchange import Exchange


class Feed:
    """Called by the reader at its end, found by the tap when the reader is fed."""

    __slots__ = ("exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def __call__(self) -> None:
        self.exchange.complete()

    def take(self, reader: Any, data: bytes) -> bytes:
        """Observe bytes that arrive; gives those for the caller."""
        shown = self.exchange.see(data)
        self.total(reader)
        return shown

    def total(self, reader: Any) -> None:
        """Where the reader is fed with decoded bytes, it knows how many came."""
        compressed = getattr(reader, "total_compressed_bytes", None)
        if compressed is not None:
            self.exchange.arrived(compressed)


def feed_of(reader: Any) -> Feed | None:
    """The observer of a reader, if it has one."""
    for callback in getattr(reader, "_eof_callbacks", ()):
        if type(callback) is Feed:
            return callback
    return None


def filtered(reader: Any, feed: Feed) -> None:
    """Observe what a reader was fed with before it was ours; hide in it what is to be hidden."""
    buffer = getattr(reader, "_buffer", None)
    if not buffer:
        if getattr(reader, "total_bytes", None) is not None:
            feed.total(reader)
        return
    if feed.exchange.hider is None:
        for data in buffer:
            feed.exchange.feed(data)
        feed.total(reader)
        return
    _rewrite(reader, feed)


def _rewrite(reader: Any, feed: Feed) -> None:
    # The ends of HTTP chunks are offsets into what the caller sees; they move as bytes are hidden before them.
    whole = b"".join(reader._buffer)
    splits = reader._http_chunk_splits
    ends = [end for end in splits or () if 0 < end <= len(whole)]
    shown: list[bytes] = []
    moved: deque[int] = deque()
    start = size = 0
    for end in [*ends, len(whole)]:
        piece = feed.exchange.see(whole[start:end]) if end > start else b""
        if end == len(whole) and reader.is_eof():
            piece += feed.exchange.rest()
        start = end
        size += len(piece)
        if piece:
            shown.append(piece)
        if end in ends and size and (not moved or moved[-1] < size):
            moved.append(size)
    reader._buffer.clear()
    reader._buffer.extend(shown)
    reader._size = reader.total_bytes = size
    if splits is not None:
        splits.clear()
        splits.extend(moved)
