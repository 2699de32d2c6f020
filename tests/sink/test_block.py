"""Messages to one Avro block, read back by an implementation of Avro that is not ours."""

from __future__ import annotations

import io
import struct
from typing import Any

import fastavro
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sink.records import HEADER, events, value_of

from taximeter_consumers.sink.block import BlockWriter, Stretch
from taximeter_consumers.sink.columns import ARRIVED, OFFSET, ROW, STRETCH
from taximeter_consumers.sink.columns import HEADER as FRAME
from taximeter_consumers.sink.guards import PLACE_MARK
from taximeter_schemas import avro_files

WRITER = avro_files.schema_of(avro_files.CURRENT_VERSION)
VALUES = [value_of(event) for event in events(40, seed=41)]
PLAIN: list[Any] = [
    fastavro.schemaless_reader(io.BytesIO(value[len(HEADER) :]), avro_files.parsed(avro_files.CURRENT_VERSION))
    for value in VALUES
]

_INT64 = st.integers(0, 2**63 - 1)
_RECORDS = st.lists(
    st.tuples(_INT64, st.integers(0, 2**42 - 1), st.integers(0, len(VALUES) - 1)), min_size=1, max_size=9
)


@settings(deadline=None)
@given(st.dictionaries(st.integers(1, 2**16 - 1), _RECORDS, min_size=1, max_size=5))
def test_fastavro_reads_what_was_put_in(stretches: dict[int, list[tuple[int, int, int]]]) -> None:
    """Every record of every stretch, in order: the event, and around it offset, time, stretch, frame and place."""
    made = [
        Stretch(
            number,
            [offset for offset, _, _ in records],
            [arrived for _, arrived, _ in records],
            [VALUES[value] for _, _, value in records],
        )
        for number, records in sorted(stretches.items())
    ]
    read = list(fastavro.reader(io.BytesIO(BlockWriter(WRITER).block(made))))
    expected = [
        {
            OFFSET: struct.pack("<q", offset),
            ARRIVED: struct.pack("<q", arrived),
            STRETCH: struct.pack("<H", number),
            FRAME: HEADER,
            **PLAIN[value],
        }
        for number, records in sorted(stretches.items())
        for offset, arrived, value in records
    ]
    for place, record in enumerate(expected):
        record[ROW] = struct.pack("<I", PLACE_MARK + place)
    assert read == expected


def test_equal_records_make_equal_bytes() -> None:
    """Whoever makes the block: an unknown outcome is answered by the same bytes again."""
    stretch = Stretch(1, range(40), [1_772_000_000_000] * 40, VALUES)
    assert BlockWriter(WRITER).block([stretch]) == BlockWriter(WRITER).block([stretch])


def test_a_block_of_many_records_states_its_counts() -> None:
    """Counts of more than one byte are read back as well."""
    stretches = [Stretch(number, range(2_000), [0] * 2_000, VALUES * 50) for number in (1, 2)]
    records = list(fastavro.reader(io.BytesIO(BlockWriter(WRITER).block(stretches))))
    assert len(records) == 4_000
    assert records[-1][ROW] == struct.pack("<I", PLACE_MARK + 3_999)
