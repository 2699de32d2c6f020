"""One JSON document on each line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from taximeter.usage.counts import UNREADABLE
from taximeter.usage.streams.decoder import LONGEST
from taximeter.usage.table import table


class Lines:
    """Splits at line ends. The last line needs none."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipping = False
        self.lines = 0

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """The lines that became whole and may bear use."""
        self._rest += chunk
        cut = self._rest.rfind(b"\n", max(0, len(self._rest) - len(chunk))) + 1
        if cut:
            block = bytes(self._rest[:cut])
            self.lines += block.count(b"\n")
            del self._rest[:cut]
            if self._skipping:
                self._skipping = False
                block = block[block.find(b"\n") + 1 :]
            return _bearing(block)
        if len(self._rest) > LONGEST:
            if not self._skipping:
                UNREADABLE.add()
            self._skipping = True
            self._rest.clear()
        return ()

    def end(self) -> Iterable[bytes]:
        """The line that stood open."""
        block, self._rest = bytes(self._rest), bytearray()
        self.lines += bool(block.strip())
        return () if self._skipping else _bearing(block)


def _bearing(block: bytes) -> Iterator[bytes]:
    if table().bears(block):
        for line in block.splitlines():
            if table().bears(line):
                yield line
