"""The journal: what the executor sends, written down before it is sent, and what the broker has acknowledged.

One JSON object a line, appended and fsynced in groups. An entry stands there before its record is produced, so at every
moment the journal holds all that can be in Kafka; its acknowledgement follows once the broker gave it. When a run is
over every entry is acknowledged: the journal then is the truth. A kill may leave half a line at the end; it was never
produced, so a reader drops it and a writer cuts it off.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

# How a line with an acknowledgement begins.
_ACK = b'{"ack":['


@dataclass(frozen=True)
class Entry:
    """One record to send. `event` is its content in plain values (amounts as strings); None for what is no event.

    `counts` says whether the event is to be found in the end: false for copies, and for what a first arrival shadows.
    `after_acks` has the executor wait for all earlier acknowledgements first, where the order of arrival matters.
    """

    number: int
    key: str | None
    value: bytes | None
    event: Mapping[str, Any] | None = None
    counts: bool = True
    partition: int | None = None
    after_acks: bool = False

    def as_json(self) -> dict[str, Any]:
        """The journal's line."""
        value = None if self.value is None else base64.b64encode(self.value).decode("ascii")
        return {**vars(self), "value": value}

    @classmethod
    def of_json(cls, line: Mapping[str, Any]) -> Self:
        """The inverse of `as_json`."""
        value = None if line["value"] is None else base64.b64decode(line["value"])
        return cls(**{**line, "value": value})


@dataclass(frozen=True)
class Ack:
    """The broker has the record of that number, there."""

    number: int
    partition: int
    offset: int


@dataclass(frozen=True)
class Written:
    """What a journal says: entries by number, in order, and the first acknowledgement of each."""

    entries: Mapping[int, Entry]
    acks: Mapping[int, Ack]

    @property
    def open(self) -> list[Entry]:
        """The entries without an acknowledgement, in order."""
        return [entry for number, entry in self.entries.items() if number not in self.acks]


class Journal:
    """The file, open for appending. One process at a time."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        whole = _whole_lines(path.read_bytes())
        self._file.truncate(len(whole))

    def add(self, lines: Iterable[Entry | Ack]) -> None:
        """Appends and returns when it is on the disk."""
        for line in lines:
            said = line.as_json() if isinstance(line, Entry) else {"ack": [line.number, line.partition, line.offset]}
            self._file.write(json.dumps(said, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read(path: Path) -> Written:
    """What the journal says so far; a half line at its end is none."""
    entries: dict[int, Entry] = {}
    acks: dict[int, Ack] = {}
    text = path.read_bytes() if path.exists() else b""
    for line in _whole_lines(text).splitlines():
        said = json.loads(line)
        if "ack" in said:
            ack = Ack(*said["ack"])
            acks.setdefault(ack.number, ack)
        else:
            entry = Entry.of_json(said)
            entries[entry.number] = entry
    return Written(entries, acks)


def acknowledged(path: Path) -> int:
    """How many acknowledgements the journal has, for a look that is cheap; one that is there twice counts twice."""
    return path.read_bytes().count(_ACK) if path.exists() else 0


def _whole_lines(text: bytes) -> bytes:
    return text[: text.rfind(b"\n") + 1]
