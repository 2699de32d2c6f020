"""A broker tells its clients where it is; here its answers tell the proxy's port instead, so that all goes through it.

An address in an answer is a host with its length before it and a port of four bytes behind it, in all versions of the
protocol. The new port takes as many bytes, so no length changes. Answers are taken whole: each has its size before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

_HOST = b"127.0.0.1"
_SIZE = 4


class Reframe(Protocol):
    """Rewrites what a server answers on one connection."""

    def feed(self, data: bytes) -> bytes:
        """What may be passed on now."""


class Readdressed:
    """The answers of one connection, with one port for another."""

    def __init__(self, port: int, instead: int) -> None:
        self._told = _address(port)
        self._instead = _address(instead)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The answers that are whole by now; the rest is held until it is."""
        self._held += data
        end = 0
        while len(self._held) - end >= _SIZE:
            whole = end + _SIZE + int.from_bytes(self._held[end : end + _SIZE], "big")
            if whole > len(self._held):
                break
            end = whole
        passed, self._held = self._held[:end], self._held[end:]
        return passed.replace(self._told, self._instead)


def readdressing(port: int) -> Callable[[int], Readdressed]:
    """For a proxy to the broker on `port`: from the proxy's own port to what rewrites one connection."""
    return lambda instead: Readdressed(port, instead)


def _address(port: int) -> bytes:
    return _HOST + port.to_bytes(4, "big")
