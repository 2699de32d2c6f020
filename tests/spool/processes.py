"""What the spool's tests run in processes of their own: `python processes.py DIRECTORY FIRST BATCH`.

Appends records for ever, and says on standard output, without a buffer, how far each append was accepted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from taximeter.faults import Faults
from taximeter.spool import Fsync, Spool, SpoolSettings


def pair(number: int) -> tuple[bytes, bytes]:
    """The same record as the tests' `pairs` makes."""
    return f"run-{number}".encode(), f"{number:08d}".encode() + bytes([number % 251]) * 40


def append_for_ever(directory: Path, first: int, batch: int) -> None:
    """Each line is the number after the last that is accepted."""
    spool = Spool(SpoolSettings(directory, segment_bytes=8_000, fsync=Fsync.BATCH), Faults())
    number = first
    while True:
        number += spool.append([pair(number + place) for place in range(batch)])
        os.write(1, f"{number}\n".encode())


if __name__ == "__main__":
    append_for_ever(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
