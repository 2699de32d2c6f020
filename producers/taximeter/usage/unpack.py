"""Undoes a body's Content-Encoding as it arrives. A coding that cannot be undone here makes the body unreadable.

A stated coding is believed only if the bytes begin like it, because what was recorded or proxied often keeps the header
of a body that is plain by now; gzip and zstd are seen without a header, too.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from taximeter.usage.counts import UNREADABLE

MOST = 1024 * 1024
"""A chunk is undone in steps of so many bytes, so that no packed chunk can ask for memory without bound."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_KNOWN = ("", "identity", "gzip", "x-gzip", "deflate", "br", "zstd")
_SNIFFED = 4
_PLAIN = re.compile(rb'\s*(?:\{\s*(?:["}]|$)|\[\s*(?:[{"\]]|$)|data|even|id: |: )')


class Unpacker(Protocol):
    """Undoes one coding."""

    def feed(self, chunk: bytes, take: Callable[[bytes], None]) -> None:
        """Hand on what this chunk gives. Raises whatever its library raises for garbage."""
        ...


class Plain:
    """No coding."""

    def feed(self, chunk: bytes, take: Callable[[bytes], None]) -> None:
        """Hand it on."""
        take(chunk)


class Zlib:
    """gzip with all its members, zlib, and the raw deflate that some servers send under the name of zlib."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._undo = zlib.decompressobj(bits)

    def feed(self, chunk: bytes, take: Callable[[bytes], None]) -> None:
        """Undo a chunk in steps."""
        while chunk:
            take(self._undo.decompress(chunk, MOST))
            chunk = self._undo.unconsumed_tail
            if self._undo.eof:
                chunk = self._undo.unused_data
                self._undo = zlib.decompressobj(self._bits)


class Foreign:
    """Brotli or zstd by an installed library's own object."""

    def __init__(self, undo: Callable[[bytes], bytes]) -> None:
        self._undo = undo

    def feed(self, chunk: bytes, take: Callable[[bytes], None]) -> None:
        """Undo a chunk in small steps."""
        for at in range(0, len(chunk), 4096):
            take(self._undo(chunk[at : at + 4096]))


class Unpacking:
    """The right unpacker, once the first bytes are there. After a mistake the rest is dropped."""

    def __init__(self, coding: str, take: Callable[[bytes], None]) -> None:
        self._coding = coding.strip().lower()
        self._take = take
        self._first = b""
        self._unpacker: Unpacker | None = None
        self._broken = False

    def feed(self, chunk: bytes) -> None:
        """Hand on what this chunk gives."""
        if self._broken:
            return
        if self._unpacker is None:
            self._first += chunk
            if len(self._first) < _SNIFFED:
                return
            chunk, self._first = self._first, b""
        self._undo(chunk)

    def end(self) -> None:
        """Hand on a body of very few bytes."""
        if self._first:
            chunk, self._first = self._first, b""
            self._undo(chunk)

    def _undo(self, chunk: bytes) -> None:
        try:
            if self._unpacker is None:
                self._unpacker = _unpacker(self._coding, chunk)
            self._unpacker.feed(chunk, self._take)
        except Exception:  # noqa: BLE001 - each library has its own errors, and garbage is no fault of the host
            UNREADABLE.add()
            self._broken = True


def _unpacker(coding: str, first: bytes) -> Unpacker:
    if first.startswith(_GZIP):
        return Zlib(zlib.MAX_WBITS | 16)
    if first.startswith(_ZSTD):
        return Foreign(_zstd())
    if coding == "deflate" and not _looks_plain(first):
        is_zlib = first[0] & 0x0F == 8 and int.from_bytes(first[:2]) % 31 == 0
        return Zlib(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
    if coding == "br" and not _looks_plain(first):
        return Foreign(_brotli())
    if coding not in _KNOWN and not _looks_plain(first):
        raise LookupError(coding)
    return Plain()


def _looks_plain(first: bytes) -> bool:
    return _PLAIN.match(first) is not None


def _zstd() -> Callable[[bytes], bytes]:
    undo: Any
    try:
        undo = import_module("compression.zstd").ZstdDecompressor()
    except ImportError:
        undo = import_module("zstandard").ZstdDecompressor().decompressobj()
    return _bytes(undo.decompress)


def _brotli() -> Callable[[bytes], bytes]:
    try:
        undo = import_module("brotli").Decompressor()
    except ImportError:
        undo = import_module("brotlicffi").Decompressor()
    return _bytes(undo.process if hasattr(undo, "process") else undo.decompress)


def _bytes(undo: Callable[[bytes], object]) -> Callable[[bytes], bytes]:
    def step(chunk: bytes) -> bytes:
        given = undo(chunk)
        return given if isinstance(given, bytes) else b""

    return step
