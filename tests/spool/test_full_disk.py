"""A disk that is full, or fails, or takes no more of a process: no room, no exception, nothing accepted is lost."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.spool.conftest import MakeSpool, drained, numbers_of, pairs, segments_in

from taximeter.faults import Faults
from taximeter.spool import Fsync, Spool, SpoolSettings, writing
from taximeter.spool.layout import HEADER_SIZE, size_of


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB and 30 inodes; skips where nobody may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=30", "tmpfs", disk], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    # Detached at once, it lives as long as this descriptor: nothing stays mounted, however the test ends.
    root = os.open(disk, os.O_RDONLY)
    subprocess.run(["umount", "--lazy", disk], check=True)
    yield Path(f"/proc/self/fd/{root}")
    os.close(root)


@pytest.mark.parametrize("fsync", Fsync)
def test_a_full_disk_is_no_room(small_disk: Path, fsync: Fsync) -> None:
    """What was accepted before is there; with room again the spool goes on."""
    spool = Spool(SpoolSettings(small_disk / "spool", fsync=fsync), Faults())
    accepted = 0
    while took := spool.append(pairs(*range(accepted, accepted + 50), size=300)):
        accepted += took
    assert accepted > 100
    assert spool.append(pairs(0)) in (0, 1)
    spool.seal()
    found = [record for record in drained(spool) if len(record[1]) == 308]
    assert numbers_of(found) == list(range(accepted))
    assert spool.append(pairs(1)) == 1
    assert spool.status().torn_bytes == spool.status().corrupt_files == 0
    spool.close()


def test_a_full_disk_at_the_start_is_no_reason_to_fail(small_disk: Path) -> None:
    """The directory is made when there is room."""
    for number in range(os.statvfs(small_disk).f_ffree):
        (small_disk / f"{number}").touch()
    spool = Spool(SpoolSettings(small_disk / "spool"), Faults())
    assert spool.append(pairs(1)) == 0
    assert spool.claim() is None
    for path in small_disk.iterdir():
        path.unlink()
    assert spool.append(pairs(1)) == 1
    spool.close()


def test_a_limit_on_files_begins_new_ones(make_spool: MakeSpool, directory: Path) -> None:
    """RLIMIT_FSIZE cuts a write short: its whole records stay, the others go to the next segment."""
    spool = make_spool()
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        assert spool.append(pairs(*range(40))) == 40
        spool.seal()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert signal.getsignal(signal.SIGXFSZ) == handler
    assert all(path.stat().st_size <= 1_000 for path in segments_in(directory))
    assert len(segments_in(directory)) > 2
    assert numbers_of(drained(spool)) == list(range(40))
    assert spool.status().torn_bytes == 0


def test_a_write_cut_short_keeps_whole_records(make_spool: MakeSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is cut: the count says which records are in the file, and the file ends with them."""
    one = size_of(*pairs(101)[0])
    really = os.write
    for room in range(0, 3 * one + 2, 7):
        spool = make_spool()
        assert spool.append(pairs(100)) == 1
        left = [room]

        def write(fd: int, data: bytes, left: list[int] = left) -> int:
            if not left[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = really(fd, data[: left[0]])
            left[0] -= taken
            return taken

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            assert spool.append(pairs(101, 102, 103)) == min(room // one, 3)
        spool.seal()
        assert numbers_of(drained(spool)) == [100, 101, 102, 103][: 1 + min(room // one, 3)]
        assert spool.status().torn_bytes == 0
        spool.close()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_flush_that_fails_accepts_nothing(
    make_spool: MakeSpool, directory: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Nobody knows what the disk has then. Earlier records stay accepted, later ones go to a new segment."""
    spool = make_spool(fsync=Fsync.BATCH)
    assert spool.append(pairs(1)) == 1

    def refuse(_: int) -> None:
        raise OSError(code, "no")

    with monkeypatch.context() as patch:
        patch.setattr(writing, "sync_file", refuse)
        assert spool.append(pairs(2, 3)) == 0
    (path,) = segments_in(directory)
    assert path.stat().st_size == HEADER_SIZE + size_of(*pairs(1)[0])
    assert spool.append(pairs(4)) == 1
    spool.seal()
    assert len(segments_in(directory)) == 2
    assert numbers_of(drained(spool)) == [1, 4]


def test_no_descriptors_left_is_no_room(make_spool: MakeSpool) -> None:
    """Nothing is raised by any call; with descriptors again the spool goes on."""
    spool = make_spool()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = os.open("/dev/null", os.O_RDONLY)
    os.close(used)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, before[1]))
    try:
        assert spool.append(pairs(1)) == 0
        assert spool.claim() is None
        assert spool.status().segments == 0
        spool.seal()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert spool.append(pairs(1)) == 1
