"""The manifest of an archived topic: which files there are, what of the log each holds, and its digest.

Layout: `<root>/<topic>/dt=YYYY-MM-DD/hour=HH/part-<partition>-<first>-<last>.avro` (or `.parquet`), day and hour of the
first message's broker time in UTC, offsets inclusive; beside the days `manifest.json`. A file counts once the
manifest lists it, so a writer that dies leaves at most a file that nobody reads. The manifest is replaced as a whole.

A manifest may come from a bucket that others write to. So names in it are held against that layout: none of them
leads out of the archive.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from taximeter_schemas.errors import Misconfigured

NAME: Final = "manifest.json"
Format = Literal["avro", "parquet"]
_CHUNK: Final = 2**20
_PATH: Final = r"^dt=[0-9]{4}-[0-9]{2}-[0-9]{2}/hour=[0-9]{2}/part-[0-9]+-[0-9]+-[0-9]+\.(avro|parquet)$"
# What Kafka lets a topic be called.
_TOPIC: Final = re.compile("[A-Za-z0-9._-]{1,249}")


class ArchivedPart(BaseModel):
    """One file. `path` is relative to the manifest, `first` and `last` are offsets, inclusive; times in Unix ms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(pattern=_PATH)
    partition: int = Field(ge=0)
    first: int = Field(ge=0)
    last: int = Field(ge=0)
    rows: int = Field(ge=1)
    size: int = Field(ge=1, description="bytes")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    first_ms: int
    last_ms: int


class Manifest(BaseModel):
    """An archived topic. `log` is the identity that Kafka gave the topic when it was created; empty: it gave none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    topic: str
    log: str = ""
    parts: tuple[ArchivedPart, ...] = ()

    @field_validator("topic")
    @classmethod
    def _is_a_name(cls, topic: str) -> str:
        if not is_topic(topic):
            raise ValueError("it is no topic's name")
        return topic

    def of_partition(self, partition: int) -> list[ArchivedPart]:
        """The files of one partition in the order of the log."""
        return sorted((part for part in self.parts if part.partition == partition), key=lambda part: part.first)

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that have files."""
        return frozenset(part.partition for part in self.parts)

    def with_parts(self, parts: Iterable[ArchivedPart]) -> Manifest:
        """The same with further files; one of the same path is replaced."""
        known = {part.path: part for part in (*self.parts, *parts)}
        ordered = sorted(known.values(), key=lambda part: (part.partition, part.first, part.path))
        return self.model_copy(update={"parts": tuple(ordered)})

    def of_log(self, topic: str, log: str, where: str, mend: str) -> Manifest:
        """The same with the log's identity, where it was not known. Raises Misconfigured if this, which lies at
        `where`, is the archive of another topic or log."""
        if self.topic != topic:
            raise Misconfigured(f"{where} is the archive of {self.topic}, not of {topic}", mend=mend)
        if self.log and log and self.log != log:
            raise Misconfigured(
                f"{where} is the archive of another log of the name {topic}: the topic was deleted and made anew",
                mend=mend,
            )
        return self.model_copy(update={"log": self.log or log})


def is_topic(name: str) -> bool:
    """Whether a topic can have this name, so that it is one folder as well."""
    return _TOPIC.fullmatch(name) is not None and name not in {".", ".."}


def part_path(partition: int, first: int, last: int, first_ms: int, form: Format) -> str:
    """Where a file lies, relative to the manifest."""
    at = datetime.fromtimestamp(first_ms / 1000, UTC)
    return f"dt={at:%Y-%m-%d}/hour={at:%H}/part-{partition}-{first}-{last}.{form}"


def load(folder: Path) -> Manifest:
    """The manifest of a topic's folder. Raises Misconfigured where there is none, or none that can be read."""
    path = folder / NAME
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Misconfigured(
            f"{path} cannot be read: {error.strerror}", mend="name the folder of one archived topic, or its files"
        ) from error
    except ValidationError as error:
        raise Misconfigured(
            f"{path} is no manifest of an archive ({error.error_count()} faults)",
            mend="restore it from a copy, or archive the topic again",
        ) from error


def save(folder: Path, manifest: Manifest) -> None:
    """Replaces the manifest, on disk when this returns."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{NAME}.{os.getpid()}.part"
    with part.open("wb") as file:
        file.write(manifest.model_dump_json(indent=1).encode())
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / NAME)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()
