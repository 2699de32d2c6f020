"""A JSON array whose items arrive one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from taximeter.usage.counts import UNREADABLE
from taximeter.usage.streams.decoder import LONGEST
from taximeter.usage.table import table

_MARK = re.compile(rb'[\\"{}]')


class Items:
    """Cuts an array of objects into its objects."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._seen = 0
        self._depth = 0
        self._quoted = False
        self._start = 0
        self._too_long = False

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """The objects that became whole and may bear use."""
        self._rest += chunk
        found = list(self._scan())
        if self._depth == 0:
            self._seen -= len(self._rest)
            self._rest.clear()
        elif self._start:
            del self._rest[: self._start]
            self._seen -= self._start
            self._start = 0
        if len(self._rest) > LONGEST:
            self._drop()
        return found

    def end(self) -> Iterable[bytes]:
        """An object that is cut short is none."""
        if self._rest:
            UNREADABLE.add()
            self._rest.clear()
        return ()

    def _scan(self) -> Iterator[bytes]:
        rest, at = self._rest, self._seen
        while (mark := _MARK.search(rest, at)) is not None:
            at = mark.end()
            byte = mark[0]
            if byte == b"\\":
                at += 1
            elif byte == b'"':
                self._quoted = not self._quoted
            elif not self._quoted and byte == b"{":
                if self._depth == 0:
                    self._start = mark.start()
                self._depth += 1
            elif not self._quoted and self._depth:
                self._depth -= 1
                if self._depth == 0:
                    yield from self._object(bytes(rest[self._start : at]))
        self._seen = max(at, len(rest))

    def _object(self, found: bytes) -> Iterator[bytes]:
        too_long, self._too_long = self._too_long, False
        if not too_long and table().bears(found):
            yield found

    def _drop(self) -> None:
        if not self._too_long:
            UNREADABLE.add()
        self._too_long = True
        self._seen -= len(self._rest)
        self._rest.clear()
