"""Messages to one Avro object container block, without decoding one.

An Avro container block is: count, size, the concatenated bodies, a sync marker. So messages whose bodies share a schema
become one valid block by concatenation. The frame's five bytes stay in front of each body: the block's schema declares
them as a leading field, after others with the Kafka offset, the time and the number of the record's stretch; and after
the body comes the record's place in the block. With these the engine itself sees whether the block is read in step
(see `SchemaColumns.guards`). The place stands at the end because the engine ignores what is left of a block, so a last
record that is too long would go unnoticed.

Per message this costs C-level calls only: `Struct.pack` and one `join` for the whole block.
"""

from __future__ import annotations

import io
import struct
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import fastavro

from taximeter_consumers.sink import varint
from taximeter_consumers.sink.columns import ARRIVED, HEADER, OFFSET, ROW, STRETCH
from taximeter_consumers.sink.guards import PLACE_MARK
from taximeter_schemas import frame

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SYNC = b"taximeter.block\n"
_PLACE = struct.Struct("<I")
# What stands between two records: the place of the one, then offset, time and stretch of the other.
_SEAM = struct.Struct("<IqqH")


class Stretch(NamedTuple):
    """Records of one partition, in offset order: whole Kafka values (frame and body). `number` counts from 1."""

    number: int
    offsets: Sequence[int]
    arrivals: Sequence[int]
    values: Sequence[bytes]


class BlockWriter:
    """Makes blocks for one writer's schema; the container's header is made once."""

    def __init__(self, writer: Mapping[str, Any]) -> None:
        schema = {key: value for key, value in writer.items() if not key.startswith("__")}
        schema["fields"] = [
            _fixed(OFFSET, 8),
            _fixed(ARRIVED, 8),
            _fixed(STRETCH, 2),
            _fixed(HEADER, frame.HEADER_SIZE),
            *writer["fields"],
            _fixed(ROW, _PLACE.size),
        ]
        out = io.BytesIO()
        fastavro.writer(out, fastavro.parse_schema(schema, named_schemas={}), [], sync_marker=_SYNC)
        self._header = out.getvalue()

    def block(self, stretches: Sequence[Stretch]) -> bytes:
        """One container file with one block of all stretches' records, at least one."""
        records = sum(len(stretch.values) for stretch in stretches)
        size = records * _SEAM.size + sum(sum(map(len, stretch.values)) for stretch in stretches)
        # Seam, value, seam, value, ..., place. Slices and one join: nothing here runs once for each record but in C.
        parts: list[bytes] = [b""] * (2 * records)
        parts[0::2] = map(
            _SEAM.pack,
            range(PLACE_MARK - 1, PLACE_MARK + records),
            chain.from_iterable(stretch.offsets for stretch in stretches),
            chain.from_iterable(stretch.arrivals for stretch in stretches),
            chain.from_iterable(repeat(stretch.number, len(stretch.values)) for stretch in stretches),
        )
        parts[1::2] = chain.from_iterable(stretch.values for stretch in stretches)
        # Before the first record none ends.
        parts[0] = parts[0][_PLACE.size :]
        last = _PLACE.pack(PLACE_MARK + records - 1)
        return b"".join(chain((self._header, varint.encoded(records), varint.encoded(size)), parts, (last, _SYNC)))


def _fixed(name: str, size: int) -> dict[str, Any]:
    return {"name": name, "type": {"type": "fixed", "name": f"taximeter.sink.{name}", "size": size}}
