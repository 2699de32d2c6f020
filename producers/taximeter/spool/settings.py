"""How a spool behaves: where it lies, how much it may hold, and what must have reached the disk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from taximeter_schemas.errors import Misconfigured


class Fsync(StrEnum):
    """What has reached the disk when a record counts as accepted. A killed process loses nothing under any of them."""

    NEVER = "never"  # the kernel has it: a power cut or a crash of the machine may lose it
    BATCH = "batch"  # one flush for each append
    ALWAYS = "always"  # one flush for each record


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """A spool's bounds, in bytes. Raises Misconfigured for one that is not positive."""

    directory: Path
    limit_bytes: int = 1 << 30  # of all files of all processes
    segment_bytes: int = 8 << 20  # after which a process begins its next file; one record may be longer
    fsync: Fsync = Fsync.BATCH

    def __post_init__(self) -> None:
        for name, given in (("limit_bytes", self.limit_bytes), ("segment_bytes", self.segment_bytes)):
            if given < 1:
                raise Misconfigured(f"the spool's {name} is {given}", mend="give it a positive number of bytes")
