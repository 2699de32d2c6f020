"""A body that is one JSON document. Of one beyond `WHOLE` the first and last bytes are kept, and searched instead."""

from __future__ import annotations

import re
from collections.abc import Iterable

from taximeter.usage.counts import UNREADABLE
from taximeter.usage.streams.decoder import WHOLE
from taximeter.usage.streams.ends import at_the_ends
from taximeter.usage.table import table

END = 64 * 1024
"""How many bytes are kept of either end of a body that is not kept whole."""

_SEVERAL = re.compile(rb"\}[ \t]*\r?\n\{")
"""Where one object ends and the next begins: what was taken for one document is one a line."""


class Body:
    """Keeps the body, or its ends. With `vectors` a long one is mostly numbers: its ends are tried before a parse."""

    def __init__(self, vectors: bool = False) -> None:
        self._whole = bytearray()
        self._first = b""
        self._vectors = vectors

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """Nothing before the end."""
        self._whole += chunk
        if len(self._whole) > WHOLE or (self._first and len(self._whole) > 16 * END):
            self._first = self._first or bytes(self._whole[:END])
            del self._whole[:-END]
        return ()

    def end(self) -> Iterable[bytes]:
        """The document, if it may bear use; of a body that was not kept whole, the usage found at its ends."""
        body, self._whole = bytes(self._whole), bytearray()
        if self._first:
            found = at_the_ends(self._first, body[-END:])
            if found is None:
                UNREADABLE.add()
                return ()
            return (found,)
        if self._vectors and len(body) > END:
            found = at_the_ends(body[:END], body[-END:])
            if found is not None and b'"usage' in found:
                return (found,)
        if not table().bears(body):
            return ()
        return body.splitlines() if _SEVERAL.search(body) else (body,)
