"""Where replayed events go: JSON lines, an Avro or Parquet file, another topic (`topic_copy`), or nowhere.

`finish` makes the result whole; `keep` makes durable what is there and says how to go on from it; `abandon` leaves what
was kept and undoes the rest. A file appears under its name only when it is complete; a topic keeps what was sent before
a failure, and sending it again is harmless, because events keep their ids.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from fastavro.write import Writer

from taximeter_consumers.archive.files import parquet_of, records
from taximeter_schemas import avro_files, codec
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_consumers.archive.message import ReadMessage
    from taximeter_schemas.event import MeterEvent

_ROWS_AT_ONCE: Final = 10_000


class Destination(Protocol):
    """Takes messages; `event` is None where the destination wants them undecoded."""

    wants_events: bool

    def write(self, message: ReadMessage, event: MeterEvent | None, /) -> None:
        """Take one message."""

    def keep(self) -> Any:
        """What was written is durable when this returns. Returns what is needed to go on, for JSON."""

    def finish(self) -> None:
        """Everything was written: make it last."""

    def abandon(self) -> None:
        """Something failed: leave nothing half-done behind but what was kept."""


class Nowhere:
    """For `--dry-run`: the messages are only counted."""

    wants_events = True

    def write(self, _message: ReadMessage, _event: MeterEvent | None, /) -> None:
        """Nothing."""

    def keep(self) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""

    def abandon(self) -> None:
        """Nothing."""


class JsonLines:
    """One JSON object a line: the event, and its coordinates under `kafka`."""

    wants_events = True

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, message: ReadMessage, event: MeterEvent | None, /) -> None:
        """One line."""
        if event is not None:
            self._out.write(json.dumps(as_json(message, event), ensure_ascii=False) + "\n")

    def keep(self) -> None:
        """What was printed is printed."""

    def finish(self) -> None:
        """Flush."""
        self._out.flush()

    def abandon(self) -> None:
        """What was printed is printed."""
        self._out.flush()


class AvroFile:
    """An Avro object container of `MeterEvent`s, in the current version, deflated. `kept` is what `keep` has returned
    to an earlier run: it goes on with the part that this one left, cut to its size then."""

    wants_events = True

    def __init__(self, path: Path, kept: int | None = None) -> None:
        self._path = path
        self.part = path.with_name(f".{path.name}.part")
        self._kept = kept
        # Of a part that is taken up the writer reads the schema itself.
        schema: Any = None if kept else avro_files.schema_of(avro_files.CURRENT_VERSION)
        try:
            self._file = self._opened(kept)
        except OSError as error:
            raise Misconfigured(
                f"{path} cannot be written: {error.strerror}", mend="give --to-file a place that can be written"
            ) from error
        self._writer: Any = Writer(self._file, schema, codec="deflate")

    def _opened(self, kept: int | None) -> io.BufferedRandom:
        if not kept:
            return self.part.open("w+b")
        file = self.part.open("r+b")
        if file.seek(0, os.SEEK_END) < kept:
            file.close()
            raise Misconfigured(
                f"{self.part} is shorter than it was when it was kept",
                mend=f"remove it and {state_of(self._path)} to begin again",
            )
        file.truncate(kept)
        # The writer reads schema and marker of what it goes on with.
        file.seek(0, os.SEEK_END)
        return file

    def write(self, _message: ReadMessage, event: MeterEvent | None, /) -> None:
        """One record."""
        if event is not None:
            self._writer.write(event.model_dump())

    def keep(self) -> int:
        """Ends the block and forces it to disk. Returns the size of the part."""
        self._writer.flush()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._kept = self._file.tell()
        return self._kept

    def finish(self) -> None:
        """Write the last block, force it to disk and give the file its name."""
        self.keep()
        self._file.close()
        self.part.replace(self._path)

    def abandon(self) -> None:
        """Remove the unfinished part, unless it can be taken up."""
        self._file.close()
        if self._kept is None:
            self.part.unlink(missing_ok=True)


class ParquetFile(AvroFile):
    """A Parquet file of `MeterEvent`s. It grows as Avro, which can be taken up after a crash, and is turned at the
    end, some thousand rows at a time."""

    def __init__(self, path: Path, kept: int | None = None) -> None:
        parquet_of(str(path))
        super().__init__(path, kept)

    def finish(self) -> None:
        """Turn the part, force the result to disk and give it its name."""
        self.keep()
        self._file.close()
        turned = self._path.with_name(f".{self._path.name}.turned")
        try:
            _write_parquet(self.part, turned)
            with turned.open("rb") as file:
                os.fsync(file.fileno())
            turned.replace(self._path)
        finally:
            turned.unlink(missing_ok=True)
        self.part.unlink()


def state_of(path: Path) -> Path:
    """Where the place of a replay into a file is noted: beside the file."""
    return path.with_name(f".{path.name}.replay.json")


def as_json(message: ReadMessage, event: MeterEvent) -> dict[str, Any]:
    """An event and where it lies, for JSON. `timestamp_ms` is the broker's, Unix milliseconds."""
    return codec.to_plain(event) | {
        "kafka": {
            "topic": message.topic(),
            "partition": message.partition(),
            "offset": message.offset(),
            "timestamp_ms": message.timestamp()[1],
        }
    }


def _write_parquet(events: Path, path: Path) -> None:
    pa, pq = parquet_of(str(path))
    schema = pa.schema(arrow_fields(avro_files.schema_of(avro_files.CURRENT_VERSION), pa))
    # Events have the part's name, whatever it ends on.
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for record in records(events):
            rows.append(record | {"event_id": str(record["event_id"])})
            if len(rows) == _ROWS_AT_ONCE:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def arrow_fields(record: Any, pa: Any) -> list[tuple[str, Any]]:
    """The fields of an Avro record as Arrow's, for the types that events have."""
    return [(field["name"], _arrow(field["type"], pa)) for field in record["fields"]]


def _arrow(avro: Any, pa: Any) -> Any:
    if isinstance(avro, list):
        (only,) = (branch for branch in avro if branch != "null")
        return _arrow(only, pa)
    if isinstance(avro, str):
        return {"string": pa.string(), "int": pa.int32(), "long": pa.int64(), "boolean": pa.bool_()}[avro]
    match avro.get("logicalType"), avro["type"]:
        case "decimal", _:
            return pa.decimal128(avro["precision"], avro.get("scale", 0))
        case "timestamp-micros", _:
            return pa.timestamp("us", tz="UTC")
        case _, "record":
            return pa.struct(arrow_fields(avro, pa))
        case _, "map":
            return pa.map_(pa.string(), _arrow(avro["values"], pa))
        case _, "enum":
            return pa.string()
        case _, other:
            return _arrow(other, pa)
