"""What the spool's tests share: a directory, spools on it, and the records that come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taximeter.faults import Faults
from taximeter.spool import Fsync, Spool, SpoolSettings

Pair = tuple[bytes, bytes]
MakeSpool = Callable[..., Spool]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where a spool will lie; it does not exist yet."""
    return tmp_path / "above" / "spool"


@pytest.fixture
def make_spool(directory: Path) -> Iterator[MakeSpool]:
    """Spools on the one directory, closed at the end. Each stands for a process: locks are per open file."""
    made: list[Spool] = []

    def make(**settings: object) -> Spool:
        chosen = SpoolSettings(**({"directory": directory, "fsync": Fsync.NEVER} | settings))  # type: ignore[arg-type]  # tests name fields
        made.append(Spool(chosen, Faults()))
        return made[-1]

    yield make
    for spool in made:
        spool.close()


def pairs(*numbers: int, size: int = 40) -> list[Pair]:
    """Records that can be told apart, and whose bytes follow from their number."""
    return [(f"run-{number}".encode(), f"{number:08d}".encode() + bytes([number % 251]) * size) for number in numbers]


def numbers_of(records: list[Pair]) -> list[int]:
    """Their numbers; fails for a record that is not exactly what `pairs` made."""
    found = [int(value[:8]) for _, value in records]
    for number, record in zip(found, records, strict=True):
        assert [record] == pairs(number, size=len(record[1]) - 8)
    return found


def drained(spool: Spool) -> list[Pair]:
    """All that can be claimed, in the order in which it comes; it is taken away."""
    found: list[Pair] = []
    while (segment := spool.claim()) is not None:
        found += segment.records()
        assert segment.done()
    return found


def segments_in(directory: Path, suffix: str = ".spool") -> list[Path]:
    """The directory's segments, oldest first."""
    return sorted(directory.glob(f"*{suffix}"))
