"""How a segment file is laid out. Pure functions of bytes; all numbers are big-endian.

    file    = header header record*          (the header twice, so that one flipped bit does not cost the file)
    header  = magic(8) version(2) 0(2) mark(4) mask(4) seed(4) crc(4)
    record  = mark(4) length(4) length^mask(4) crc(4) payload
    payload = key-length(4) key value

`crc` is CRC-32, begun with the segment's seed, over the record's first twelve bytes and its payload. The length is
there twice, so a wrong length is known as wrong: a record that reaches past the end of the file was torn by a crash.
Mark, mask and seed are random in each segment. Reading finds the next record after damage by its mark, and nobody
can plant bytes in a payload that would pass for a record.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from zlib import crc32

MAGIC = b"TXMSPOOL"
VERSION = 1
_FACE = struct.Struct(">8sHHIII")
_CRC = struct.Struct(">I")
_ONE_HEADER = _FACE.size + _CRC.size
HEADER_SIZE = 2 * _ONE_HEADER

_PART = struct.Struct(">III")
_HEAD = struct.Struct(">IIII")
_KEY = struct.Struct(">I")
HEAD_SIZE = _HEAD.size
OVERHEAD = _HEAD.size + _KEY.size
LONGEST_RECORD = 256 << 20


@dataclass(frozen=True, slots=True)
class Salt:
    """What makes a segment's records its own."""

    mark: int
    mask: int
    seed: int
    version: int = VERSION

    @property
    def needle(self) -> bytes:
        """The mark as it stands in the file."""
        return _KEY.pack(self.mark)


def new_salt() -> Salt:
    """A salt from the system's randomness."""
    return Salt(*_PART.unpack(os.urandom(_PART.size)))


def header_of(salt: Salt) -> bytes:
    """The first bytes of a segment."""
    face = _FACE.pack(MAGIC, salt.version, 0, salt.mark, salt.mask, salt.seed)
    return (face + _CRC.pack(crc32(face))) * 2


def salt_of(header: bytes) -> Salt | None:
    """The salt from a segment's first bytes; None if both headers are damaged. Look at its version before all else."""
    for start in (0, _ONE_HEADER):
        one = header[start : start + _ONE_HEADER]
        if len(one) == _ONE_HEADER and one.startswith(MAGIC) and _CRC.pack(crc32(one[: _FACE.size])) == one[-4:]:
            _, version, _, mark, mask, seed = _FACE.unpack_from(one)
            return Salt(mark, mask, seed, version)
    return None


def size_of(key: bytes, value: bytes) -> int:
    """How many bytes the record takes."""
    return OVERHEAD + len(key) + len(value)


def record_of(salt: Salt, key: bytes, value: bytes) -> bytes:
    """The record as it is written."""
    payload = b"".join((_KEY.pack(len(key)), key, value))
    part = _PART.pack(salt.mark, len(payload), len(payload) ^ salt.mask)
    return b"".join((part, _CRC.pack(crc32(payload, crc32(part, salt.seed))), payload))


def length_of(salt: Salt, head: bytes) -> int | None:
    """The payload's length, from a record's first sixteen bytes; None if they are not a record's."""
    mark, length, masked, _ = _HEAD.unpack(head)
    if mark != salt.mark or length ^ masked != salt.mask or length < _KEY.size:
        return None
    return int(length)


def pair_of(salt: Salt, head: bytes, payload: bytes) -> tuple[bytes, bytes] | None:
    """Key and value; None if a single bit of the record is not what was written."""
    if _CRC.pack(crc32(payload, crc32(head[: _PART.size], salt.seed))) != head[_PART.size :]:
        return None
    end = _KEY.size + int(_KEY.unpack_from(payload)[0])
    return (payload[_KEY.size : end], payload[end:]) if end <= len(payload) else None
