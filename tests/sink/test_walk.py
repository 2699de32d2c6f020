"""Where a record ends, without reading it."""

from __future__ import annotations

import contextlib
import io
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.schemas.strategies import events
from tests.sink.records import HEADER

from taximeter_consumers.sink import varint
from taximeter_consumers.sink.walk import walk_of
from taximeter_schemas import avro_files
from taximeter_schemas.codec import encode, read_body
from taximeter_schemas.errors import Poison
from taximeter_schemas.event import MeterEvent

_WALK = walk_of(avro_files.schema_of(avro_files.CURRENT_VERSION), avro_files.CURRENT_VERSION)


@given(events, st.binary(max_size=4))
def test_a_walk_ends_where_the_record_ends(event: MeterEvent, more: bytes) -> None:
    """For every event that the schema allows, whatever follows it."""
    value = encode(event, HEADER)
    assert _WALK(value + more, 5) == len(value)


@given(events, st.data())
def test_what_a_reader_takes_the_walk_takes(event: MeterEvent, data: st.DataObject) -> None:
    """The walk is at least as lenient: it refuses no bytes of which fastavro makes an event to the last byte."""
    value = bytearray(encode(event, HEADER))
    # Decimals of more than 16 bytes, which fastavro takes and the engine does not, need a longer body than was written.
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(5, len(value) - 1))] = data.draw(st.integers(0, 255))
    body = bytes(value[5:])
    try:
        read_body(body, avro_files.parsed(avro_files.CURRENT_VERSION), lenient_text=True)
    except Poison:
        return
    assert _WALK(body, 0) == len(body)


@given(events, st.data())
def test_a_record_that_is_cut_is_seen(event: MeterEvent, data: st.DataObject) -> None:
    """No proper beginning of a record is one."""
    value = encode(event, HEADER)
    part = value[: data.draw(st.integers(5, len(value) - 1))]
    with contextlib.suppress(IndexError):
        assert _WALK(part, 5) > len(part)


@pytest.mark.parametrize(
    ("avro", "value"),
    [
        ({"type": "array", "items": "long"}, [1, -(2**60), 3]),
        ({"type": "map", "values": {"type": "array", "items": "string"}}, {"a": ["b", ""], "c": []}),
        (["null", "double"], 1.5),
        (["string", "null"], "turned round"),
        ({"type": "fixed", "name": "F", "size": 3}, b"abc"),
        ("float", 1.0),
        ("boolean", True),
        ({"type": "enum", "name": "E", "symbols": [f"s{n}" for n in range(300)]}, "s299"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}, None),
    ],
)
def test_every_type_of_avro_is_walked(avro: Any, value: Any) -> None:
    """A newer version of the event may use any of them."""
    schema = {"type": "record", "name": "R", "fields": [{"name": "x", "type": avro}, {"name": "y", "type": "string"}]}
    out = io.BytesIO()
    given_value = Decimal("1.25") if value is None else value
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), {"x": given_value, "y": "end"})
    assert walk_of(schema, 9)(out.getvalue(), 0) == len(out.getvalue())


def test_a_map_in_blocks_with_sizes_is_walked() -> None:
    """Other writers put a negative count and a size in bytes before a block."""
    schema = {"type": "record", "name": "R", "fields": [{"name": "x", "type": {"type": "map", "values": "int"}}]}
    block = b"\x01" + b"\x06" + b"\x02k\x04"  # minus one item, three bytes
    assert walk_of(schema, 9)(block + block + b"\x00", 0) == 11


@pytest.mark.parametrize("body", [b"\x80" * 12, b"\x01", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"])
def test_a_length_that_none_can_have_is_malformed(body: bytes) -> None:
    """Endless and negative ones, and those of more than 31 bits."""
    schema = {"type": "record", "name": "R", "fields": [{"name": "x", "type": "string"}]}
    with pytest.raises(varint.Malformed):
        walk_of(schema, 9)(body, 0)
