"""AWS event-stream frames: lengths, headers, payload, each guarded by a CRC-32.

A payload is the event itself, or holds it as base64 under `bytes`. After a frame that its CRC contradicts, where the
next one begins is unknown: the rest of the stream is left out.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Iterable, Iterator

from taximeter.usage.counts import UNREADABLE
from taximeter.usage.streams.decoder import LONGEST
from taximeter.usage.table import table

PRELUDE = 12
"""Bytes before a frame's headers: total length, length of headers, CRC of both."""

_CRC = 4
_WRAPPED = re.compile(rb'"bytes"\s*:\s*"([A-Za-z0-9+/=\\]*)"')


def is_prelude(start: bytes) -> bool:
    """Whether bytes begin with a frame. Its CRC makes a mistake all but impossible."""
    if len(start) < PRELUDE:
        return False
    total, headers, crc = (int(number) for number in struct.unpack_from(">III", start))
    return zlib.crc32(start[:8]) == crc and total >= PRELUDE + headers + _CRC


class Frames:
    """Cuts a stream into the events that its frames carry."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._broken = False

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """The events of the frames that became whole and may bear use."""
        if not self._broken:
            self._rest += chunk
            yield from self._whole()

    def end(self) -> Iterable[bytes]:
        """A frame that is cut short is no event."""
        if self._rest:
            UNREADABLE.add()
            self._rest.clear()
        return ()

    def _whole(self) -> Iterator[bytes]:
        rest, at = self._rest, 0
        while len(rest) - at >= PRELUDE:
            total, headers = struct.unpack_from(">II", rest, at)
            if not is_prelude(bytes(rest[at : at + PRELUDE])) or total > LONGEST:
                self._give_up()
                return
            if len(rest) - at < total:
                break
            frame = bytes(rest[at : at + total])
            if zlib.crc32(frame[:-_CRC]) != int.from_bytes(frame[-_CRC:]):
                self._give_up()
                return
            at += total
            yield from _event(frame[PRELUDE + headers : -_CRC])
        del rest[:at]

    def _give_up(self) -> None:
        UNREADABLE.add()
        self._broken = True
        self._rest.clear()


def _event(payload: bytes) -> Iterator[bytes]:
    wrapped = _WRAPPED.search(payload)
    if wrapped is not None:
        try:
            payload = base64.b64decode(wrapped[1].replace(b"\\", b""))
        except binascii.Error:
            UNREADABLE.add()
            return
    if table().bears(payload):
        yield payload
