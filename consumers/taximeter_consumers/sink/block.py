"""Messages to one Avro object container block, without decoding one.

An Avro container block is: count, size, the concatenated bodies, a sync marker. So messages whose bodies share a schema
become one valid block by concatenation. The frame's five bytes stay in front of each body: the block's schema declares
them as a leading field, after others with the Kafka offset and time; and after the body comes the record's place in the
block. With these the engine itself sees whether the block is read in step (see `SchemaColumns.guards`). The place
stands at the end because the engine ignores what is left of a block, so a last record that is too long would go
unnoticed.

Per message this costs C-level calls only: `Struct.pack` and one `join` for the whole block.
"""

from __future__ import annotations

import io
import struct
from itertools import chain
from typing import TYPE_CHECKING, Any

import fastavro

from taximeter_consumers.sink.columns import ARRIVED, HEADER, OFFSET, ROW
from taximeter_schemas import frame

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SYNC = b"taximeter.block\n"
_PREFIX = struct.Struct("<qq")
_SUFFIX = struct.Struct("<I")


class BlockWriter:
    """Makes blocks for one writer's schema; the container's header is made once."""

    def __init__(self, writer: Mapping[str, Any]) -> None:
        schema = {key: value for key, value in writer.items() if not key.startswith("__")}
        schema["fields"] = [
            _fixed(OFFSET, 8),
            _fixed(ARRIVED, 8),
            _fixed(HEADER, frame.HEADER_SIZE),
            *writer["fields"],
            _fixed(ROW, _SUFFIX.size),
        ]
        out = io.BytesIO()
        fastavro.writer(out, fastavro.parse_schema(schema, named_schemas={}), [], sync_marker=_SYNC)
        self._header = out.getvalue()

    def block(self, offsets: Sequence[int], arrivals: Sequence[int], values: Sequence[bytes]) -> bytes:
        """One container file with one block of whole Kafka values (frame and body), at least one."""
        prefixes = map(_PREFIX.pack, offsets, arrivals)
        suffixes = map(_SUFFIX.pack, range(len(values)))
        bodies = b"".join(chain.from_iterable(zip(prefixes, values, suffixes, strict=True)))
        return b"".join((self._header, _varint(len(values)), _varint(len(bodies)), bodies, _SYNC))


def _fixed(name: str, size: int) -> dict[str, Any]:
    return {"name": name, "type": {"type": "fixed", "name": f"taximeter.sink.{name}", "size": size}}


def _varint(number: int) -> bytes:
    """A non-negative long as Avro writes it: zigzag, seven bits a byte, least significant first."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
