"""What has reached the disk when a record counts as accepted, seen at the system calls."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.spool.conftest import MakeSpool, drained, pairs, segments_in

from taximeter.spool import Fsync, writing


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every flush: `file` with the size that it covered, or `directory` with how many files it showed."""
    seen: list[str] = []
    sync_directory, sync_file = os.fsync, writing.sync_file

    def directory(fd: int) -> None:
        sync_directory(fd)
        seen.append(f"directory {len(os.listdir(fd))}")

    def file(fd: int) -> None:
        sync_file(fd)
        seen.append(f"file {os.fstat(fd).st_size}")

    monkeypatch.setattr(os, "fsync", directory)
    monkeypatch.setattr(writing, "sync_file", file)
    return seen


@pytest.mark.parametrize(("fsync", "times"), [(Fsync.NEVER, 0), (Fsync.BATCH, 1), (Fsync.ALWAYS, 3)])
def test_each_policy_flushes_as_it_says(
    make_spool: MakeSpool, directory: Path, calls: list[str], fsync: Fsync, times: int
) -> None:
    """The directory once its new file is in it, the file with all that was accepted, once or for each record."""
    spool = make_spool(fsync=fsync)
    calls.clear()
    assert spool.append(pairs(1, 2, 3)) == 3
    (path,) = segments_in(directory)
    size = path.stat().st_size
    assert len(calls) == (1 + times if times else 0)
    assert calls[:1] == (["directory 1"] if times else [])
    assert calls[-1:] == ([f"file {size}"] if times else [])
    calls.clear()
    assert spool.append(pairs(4, 5, 6)) == 3
    assert len(calls) == times
    assert calls[-1:] == ([f"file {path.stat().st_size}"] if times else [])


def test_a_batch_over_two_segments_flushes_both(make_spool: MakeSpool, calls: list[str]) -> None:
    """Each segment's part is on the disk before the next segment begins."""
    spool = make_spool(fsync=Fsync.BATCH, segment_bytes=350)
    calls.clear()
    assert spool.append(pairs(1, 2, 3, 4, 5, 6)) == 6
    assert [call.partition(" ")[0] for call in calls] == ["directory", "file"] * 2


def test_a_new_directory_lasts(make_spool: MakeSpool, calls: list[str]) -> None:
    """Every directory that was made for it is flushed into the one above; so is each deletion."""
    spool = make_spool(fsync=Fsync.BATCH)
    assert calls == ["directory 1"] * 2
    spool.append(pairs(1))
    spool.seal()
    calls.clear()
    drained(spool)
    assert calls == ["directory 0"]
