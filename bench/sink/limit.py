"""The limit: the same rows out of one local Avro file, parsed by the engine's own reader into the same table.

Nothing of a sink is in it: no broker, no network, no batches, no exactly-once. It is tuned as the
sink is: plain types first and converted in the SELECT, no sorting-out of duplicates at the insert, and blocks of the
best size of those that were tried. Coordinates stand in the file as leading fields, so the rows are the same.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fastavro

from bench.sink import columns
from taximeter_consumers.sink.varint import encoded

_SYNC = b"taximeter.limit\n"
_LEADING = ("_partition", "_offset", "_arrived_ms")
# Records of one container block: the reader takes a block as a whole, and this many are a few megabytes.
BLOCK_RECORDS = 10_000
SETTINGS: Mapping[str, int | str] = {
    "optimize_on_insert": 0,
    "async_insert": 0,
    "max_block_size": 1_048_449,
    "min_insert_block_size_rows": 1_048_449,
    "max_insert_threads": 1,
    "max_partitions_per_insert_block": 0,
    "input_format_null_as_default": 1,
    "log_queries": 0,
}


def container_header(schema: Mapping[str, Any]) -> bytes:
    """The head of a container file of that schema with the coordinates in front."""
    leading = [{"name": name, "type": "long"} for name in _LEADING]
    extended = {**schema, "fields": [*leading, *schema["fields"]]}
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(extended, named_schemas={}), [], sync_marker=_SYNC)
    return out.getvalue()


def write_file(path: Path, schema: Mapping[str, Any], records: Iterable[tuple[int, int, int, bytes]]) -> int:
    """Writes (partition, offset, arrival in ms, Avro body) as one container file; how many there were."""
    count, block = 0, list[bytes]()
    with path.open("wb") as file:
        file.write(container_header(schema))
        for partition, offset, arrived, body in records:
            block.append(b"".join((encoded(partition), encoded(offset), encoded(arrived), body)))
            count += 1
            if len(block) == BLOCK_RECORDS:
                file.write(_container_block(block))
                block.clear()
        if block:
            file.write(_container_block(block))
    return count


def insert(schema: Mapping[str, Any], path: Path, topic: str) -> str:
    """The statement. Topic and path are ours, and hold nothing that needs quoting."""
    leading = ", ".join(f"{name} Int64" for name in _LEADING)
    shape = columns.structure(schema, leading).replace("'", "\\'")
    where = {"topic": f"'{topic}'", "partition": "_partition", "offset": "_offset", "arrived_ms": "_arrived_ms"}
    return (
        f"INSERT INTO stored_events ({', '.join(columns.columns(schema))})\n"
        f"SELECT {', '.join(columns.select(schema, where))}\nFROM file('{path}', Avro, '{shape}')"
    )


def _container_block(records: Sequence[bytes]) -> bytes:
    bodies = b"".join(records)
    return b"".join((encoded(len(records)), encoded(len(bodies)), bodies, _SYNC))
