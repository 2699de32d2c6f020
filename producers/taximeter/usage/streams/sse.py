"""Server-sent events: `data:` lines up to a blank line. Blocks of events that cannot bear use are skipped unsplit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from taximeter.usage.counts import UNREADABLE
from taximeter.usage.streams.decoder import LONGEST
from taximeter.usage.table import table

_BLANK = re.compile(rb"\r\n\r\n|\n\r?\n|\r\r")
_LINE = re.compile(rb"\r\n|\n|\r")
_DONE = b"[DONE]"


class Events:
    """Splits a stream into the data of its events. The last one needs no blank line behind it."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipping = False
        self.done = False

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """The data of the events that became whole and may bear use."""
        rest = self._rest
        since = max(0, len(rest) - 3)
        rest += chunk
        cut = 0
        for blank in _BLANK.finditer(rest, since):
            if self._skipping:
                self._skipping = False
                del rest[: blank.end()]
                return self.feed(b"")
            cut = blank.end()
        if cut:
            block = bytes(rest[:cut])
            del rest[:cut]
            return self._read(block)
        if len(rest) > LONGEST:
            if not self._skipping:
                UNREADABLE.add()
            self._skipping = True
            del rest[:-3]
        return ()

    def end(self) -> Iterable[bytes]:
        """The event that stood open."""
        block, self._rest = bytes(self._rest), bytearray()
        return () if self._skipping else self._read(block)

    def _read(self, block: bytes) -> Iterator[bytes]:
        self.done = self.done or _DONE in block
        if not table().bears(block):
            return
        events = [event for event in _BLANK.split(block) if event]
        for event in events:
            if len(events) == 1 or table().bears(event):
                data = b"\n".join(
                    line[5:].removeprefix(b" ") for line in _LINE.split(event) if line.startswith(b"data:")
                )
                if data:
                    yield data
