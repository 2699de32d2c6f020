"""What the decoders have in common: their two verbs, and the bounds of memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

LONGEST = 16 * 1024 * 1024
"""The longest event of a stream that is kept, in bytes. A longer one is tallied as unreadable and left out."""

WHOLE = 32 * 1024 * 1024
"""The longest body that is kept whole, in bytes. Of a longer one the ends are kept."""


class Decoder(Protocol):
    """Bytes in, whole documents out."""

    def feed(self, chunk: bytes, /) -> Iterable[bytes]:
        """The documents that this chunk made whole."""
        ...

    def end(self) -> Iterable[bytes]:
        """What was left when the bytes ended."""
        ...
