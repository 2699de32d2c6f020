"""Where replayed events go: JSON lines, an Avro file, another topic, or nowhere.

`finish` makes the result whole; `abandon` undoes what can be undone. A file appears under its name only when it is
complete; a topic keeps what was sent before a failure, and sending it again is harmless, because events keep their ids.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from fastavro.write import Writer

from taximeter_schemas import avro_files, codec
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from confluent_kafka import Message

    from taximeter_schemas.event import MeterEvent


class Destination(Protocol):
    """Takes messages; `event` is None where the destination wants them undecoded."""

    wants_events: bool

    def write(self, message: Message, event: MeterEvent | None, /) -> None:
        """Take one message."""

    def finish(self) -> None:
        """Everything was written: make it last."""

    def abandon(self) -> None:
        """Something failed: leave nothing half-done behind."""


class Nowhere:
    """For `--dry-run`: the messages are only counted."""

    wants_events = True

    def write(self, _message: Message, _event: MeterEvent | None, /) -> None:
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

    def write(self, message: Message, event: MeterEvent | None, /) -> None:
        """One line."""
        if event is not None:
            self._out.write(json.dumps(as_json(message, event), ensure_ascii=False) + "\n")

    def finish(self) -> None:
        """Flush."""
        self._out.flush()

    def abandon(self) -> None:
        """What was printed is printed."""
        self._out.flush()


class AvroFile:
    """An Avro object container of `MeterEvent`s, in the current version, deflated."""

    wants_events = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            self._file = self._part.open("wb")
        except OSError as error:
            raise Misconfigured(
                f"{path} cannot be written: {error.strerror}", mend="give --to-file a place that can be written"
            ) from error
        self._writer: Any = Writer(self._file, avro_files.schema_of(avro_files.CURRENT_VERSION), codec="deflate")

    def write(self, _message: Message, event: MeterEvent | None, /) -> None:
        """One record."""
        if event is not None:
            self._writer.write(event.model_dump())

    def finish(self) -> None:
        """Write the last block, force it to disk and give the file its name."""
        self._writer.flush()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)

    def abandon(self) -> None:
        """Remove the unfinished file."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def as_json(message: Message, event: MeterEvent) -> dict[str, Any]:
    """An event and where it lies, for JSON. `timestamp_ms` is the broker's, Unix milliseconds."""
    return codec.to_plain(event) | {
        "kafka": {
            "topic": message.topic(),
            "partition": message.partition(),
            "offset": message.offset(),
            "timestamp_ms": message.timestamp()[1],
        }
    }
