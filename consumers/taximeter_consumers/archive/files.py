"""The files of an archive, read and written: Avro by fastavro, Parquet by pyarrow, which is loaded only for it.

A file appears under its name when it is complete and on disk; what a crash leaves has another name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import fastavro

from taximeter_consumers.archive import manifest as manifests
from taximeter_consumers.archive.manifest import ArchivedPart, Format
from taximeter_consumers.archive.message import (
    RECORD_NAME,
    SCHEMA,
    ArchivedMessage,
    ReadMessage,
    from_record,
    to_record,
)
from taximeter_schemas.errors import Misconfigured

_ROWS_AT_ONCE: Final = 10_000
_MEND: Final = "restore the file from a copy, or archive that part of the topic again"


def read_part(path: Path, topic: str, partition: int) -> Iterator[ArchivedMessage]:
    """The messages of one file in order. Raises Misconfigured for a file that is no such file."""
    for record in records(path):
        try:
            message = from_record(record, topic, partition)
        except KeyError as error:
            raise Misconfigured(f"{path} holds no archived messages ({error} is missing)", mend=_MEND) from error
        yield message


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of an Avro or Parquet file, whatever they are. Raises Misconfigured for what is neither."""
    if path.suffix == ".parquet":
        yield from _parquet_records(path)
        return
    try:
        with path.open("rb") as file:
            for record in fastavro.reader(file):
                yield dict(record)  # type: ignore[arg-type]  # a container of records holds records
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}", mend="look at the path") from error
    # fastavro raises whatever the bytes lead it into.
    except (ValueError, EOFError, KeyError, IndexError, TypeError) as error:
        raise Misconfigured(f"{path} is no whole Avro file ({type(error).__name__})", mend=_MEND) from error


def holds_messages(path: Path) -> bool:
    """Whether a file holds messages as they were in Kafka, and not events. Raises Misconfigured for neither."""
    if path.suffix == ".parquet":
        return {"offset", "value", "headers"} <= set(_parquet_file(path).schema_arrow.names)
    try:
        with path.open("rb") as file:
            schema = fastavro.reader(file).writer_schema
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}", mend="look at the path") from error
    except (ValueError, EOFError, KeyError, TypeError) as error:
        raise Misconfigured(f"{path} is no Avro file ({type(error).__name__})", mend=_MEND) from error
    return isinstance(schema, dict) and schema.get("name") == RECORD_NAME


def write_part(folder: Path, partition: int, messages: Sequence[ReadMessage], form: Format = "avro") -> ArchivedPart:
    """Writes consecutive messages of one partition as one file below the topic's `folder`; the manifest is the
    caller's to save. Raises Misconfigured where the place cannot be written."""
    first, last = messages[0], messages[-1]
    times = (first.timestamp()[1], last.timestamp()[1])
    relative = manifests.part_path(partition, first.offset(), last.offset(), times[0], form)
    path = folder / relative
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if form == "avro":
            with part.open("wb") as file:
                fastavro.writer(file, fastavro.parse_schema(dict(SCHEMA)), map(to_record, messages), codec="deflate")
        else:
            _write_parquet(part, messages)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Misconfigured(
            f"{path} cannot be written: {error.strerror}", mend="give the archive a place that can be written"
        ) from error
    return ArchivedPart(
        path=relative,
        partition=partition,
        first=first.offset(),
        last=last.offset(),
        rows=len(messages),
        size=path.stat().st_size,
        sha256=manifests.digest(path),
        first_ms=times[0],
        last_ms=times[1],
    )


def parquet_of(kind: str) -> Any:
    """pyarrow and its Parquet module. Raises Misconfigured where they are not installed."""
    try:
        pa, pq = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise Misconfigured(
            f"{kind} is Parquet, and pyarrow is not installed", mend="pip install pyarrow, or use Avro"
        ) from error
    return pa, pq


def _parquet_file(path: Path) -> Any:
    pa, pq = parquet_of(str(path))
    try:
        return pq.ParquetFile(path)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read as Parquet", mend=_MEND) from error
    except pa.ArrowInvalid as error:
        raise Misconfigured(f"{path} is no whole Parquet file", mend=_MEND) from error


def _parquet_records(path: Path) -> Iterator[dict[str, Any]]:
    with _parquet_file(path) as file:
        for batch in file.iter_batches(_ROWS_AT_ONCE):
            yield from batch.to_pylist(maps_as_pydicts="strict")


def _write_parquet(path: Path, messages: Sequence[ReadMessage]) -> None:
    pa, pq = parquet_of(str(path))
    header = pa.struct([pa.field("name", pa.string()), pa.field("value", pa.binary())])
    schema = pa.schema(
        [
            ("offset", pa.int64()),
            ("timestamp_ms", pa.int64()),
            ("key", pa.binary()),
            ("value", pa.binary()),
            ("headers", pa.list_(header)),
        ]
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for begin in range(0, len(messages), _ROWS_AT_ONCE):
            rows = list(map(to_record, messages[begin : begin + _ROWS_AT_ONCE]))
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
