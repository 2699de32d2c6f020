"""The Confluent frame: byte 0, the schema id as four big-endian bytes, then the Avro body."""

from __future__ import annotations

import struct

from taximeter_schemas.errors import Poison

MAGIC = 0
HEADER_SIZE = 5
_HEADER = struct.Struct(">bI")


def header(schema_id: int) -> bytes:
    """The five bytes that precede every body of this schema."""
    return _HEADER.pack(MAGIC, schema_id)


def split(message: bytes | None) -> tuple[int, bytes]:
    """The schema id and the body of a framed message. Raises Poison: `empty`, `too_short`, `not_framed`."""
    if not message:
        raise Poison("empty", "the message has no value")
    if len(message) < HEADER_SIZE:
        raise Poison("too_short", f"the message has {len(message)} bytes, fewer than the {HEADER_SIZE} of its frame")
    magic, schema_id = _HEADER.unpack_from(message)
    if magic != MAGIC:
        raise Poison("not_framed", f"the message starts with byte {magic & 0xFF}, not with the frame's {MAGIC}")
    return schema_id, message[HEADER_SIZE:]
