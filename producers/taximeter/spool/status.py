"""What waits in a spool's directory, read from its files by anybody at any time; nothing is changed.

Each file is read to its end, so a count is what draining will find: about a second for a million records.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from taximeter.spool.directory import CORRUPT, SEGMENT, Directory, began_ns
from taximeter.spool.layout import HEADER_SIZE, VERSION, salt_of
from taximeter.spool.reading import Reading
from taximeter_schemas.errors import Retryable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """All processes' segments at one moment. Times are UTC, sizes bytes."""

    segments: int = 0  # files that wait
    living: int = 0  # of those: held by a living process, which writes or drains them
    records: int = 0  # events in them
    living_records: int = 0  # of those: in segments of living processes
    waiting_bytes: int = 0
    oldest: datetime | None = None  # when the oldest segment was begun
    torn_bytes: int = 0  # parts of records that a crash left; they were never accepted
    damaged_bytes: int = 0  # what cannot be read in segments that wait
    corrupt_files: int = 0  # kept aside, never sent
    corrupt_bytes: int = 0
    corrupted: int = 0  # files that this process has set aside


def read_status(path: Path) -> SpoolStatus:
    """The status of the directory. Raises Misconfigured where it cannot be read, Retryable if the disk fails."""
    directory = Directory(path, create=False)
    try:
        return _status(directory)
    except OSError as error:
        raise Retryable(f"the spool's directory {path} cannot be read now: {error.strerror}") from error
    finally:
        directory.close()


def _status(directory: Directory) -> SpoolStatus:
    sizes = directory.sizes(SEGMENT)
    corrupt = directory.sizes(CORRUPT)
    living = records = living_records = torn = damaged = 0
    for name in sorted(sizes):
        reading, alive = _read(directory, name)
        living += alive
        if reading is None:
            continue
        records += reading.count
        living_records += reading.count if alive else 0
        damaged += reading.damaged_bytes
        # A living process's last record may be on its way to the file.
        torn += 0 if alive else reading.torn_bytes
    began = [ns for ns in map(began_ns, sizes) if ns is not None]
    oldest = _EPOCH + timedelta(microseconds=min(began) // 1_000) if began else None
    return SpoolStatus(
        segments=len(sizes),
        living=living,
        records=records,
        living_records=living_records,
        waiting_bytes=sum(sizes.values()),
        oldest=oldest,
        torn_bytes=torn,
        damaged_bytes=damaged,
        corrupt_files=len(corrupt),
        corrupt_bytes=sum(corrupt.values()),
    )


def _read(directory: Directory, name: str) -> tuple[Reading | None, bool]:
    try:
        with directory.shared(name) as (fd, living):
            salt = salt_of(os.pread(fd, HEADER_SIZE, 0))
            if salt is None or salt.version != VERSION:
                return None, living
            reading = Reading(salt, lambda at, count: os.pread(fd, count, at), os.fstat(fd).st_size)
            for _ in reading.records():
                pass
            return reading, living
    except (FileNotFoundError, PermissionError):
        return None, False
