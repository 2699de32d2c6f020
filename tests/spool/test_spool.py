"""The spool of one process: order, bounds, locks, and who may use its directory."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.spool.conftest import MakeSpool, drained, numbers_of, pairs, segments_in

from taximeter.faults import Faults
from taximeter.spool import Fsync, Spool, SpoolSettings, read_status
from taximeter.spool import directory as locks
from taximeter.spool.directory import began_ns
from taximeter.spool.layout import HEADER_SIZE, size_of
from taximeter.spool.room import Room, fitting
from taximeter_schemas.errors import Misconfigured


@pytest.mark.parametrize("fsync", Fsync)
def test_what_was_accepted_comes_out_oldest_first(make_spool: MakeSpool, fsync: Fsync) -> None:
    """Over several segments, under every policy; afterwards nothing is left."""
    spool = make_spool(fsync=fsync, segment_bytes=400)
    for start in range(0, 60, 7):
        batch = pairs(*range(start, start + 7))
        assert spool.append(batch) == 7
    spool.seal()
    assert spool.status().records == 63
    assert spool.status().segments > 5
    assert numbers_of(drained(spool)) == list(range(63))
    assert spool.status().segments == spool.status().waiting_bytes == 0


def test_keys_and_values_may_be_empty_and_long(make_spool: MakeSpool) -> None:
    """A record longer than a segment, or than the reader's window, has a segment to itself."""
    spool = make_spool(segment_bytes=1_000)
    records = [(b"", b""), (b"k", b""), (b"", b"v" * 999), (b"k" * 70_000, b"v" * 600_000), (b"", b"")]
    assert spool.append(records) == 5
    spool.seal()
    assert drained(spool) == records


def test_files_are_for_their_owner_alone(make_spool: MakeSpool, directory: Path) -> None:
    """The directory is 0700, a segment 0600, and its name says when it began."""
    make_spool().append(pairs(1))
    (segment,) = segments_in(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(segment.stat().st_mode) == 0o600
    began = began_ns(segment.name)
    assert began is not None
    assert abs(began - segment.stat().st_ctime_ns) < 60_000_000_000


def test_a_segment_being_written_is_nobody_elses(make_spool: MakeSpool) -> None:
    """Neither another process nor the writer itself can claim it before it is sealed."""
    writer, other = make_spool(), make_spool()
    writer.append(pairs(1))
    assert writer.claim() is None
    assert other.claim() is None
    assert (other.status().living, other.status().living_records) == (1, 1)
    writer.seal()
    assert other.status().living == 0
    assert numbers_of(drained(other)) == [1]


def test_a_claimed_segment_is_held_until_it_is_given_back(make_spool: MakeSpool) -> None:
    """Released, it comes again from its first record; taken halfway, `done` gives it back too."""
    first, second = make_spool(), make_spool()
    first.append(pairs(1, 2, 3))
    first.seal()
    segment = first.claim()
    assert segment is not None
    assert second.claim() is None
    assert numbers_of(list(segment.records())) == [1, 2, 3]
    assert numbers_of(list(segment.records())) == [1, 2, 3]
    segment.release()
    taken = second.claim()
    assert taken is not None
    next(taken.records())
    assert not taken.done()
    assert numbers_of(drained(first)) == [1, 2, 3]


def test_closing_frees_what_was_written_and_claimed(make_spool: MakeSpool) -> None:
    """A closed spool accepts nothing and claims nothing."""
    spool = make_spool()
    spool.append(pairs(1))
    spool.seal()
    assert spool.claim() is not None
    spool.append(pairs(2))
    spool.close()
    assert spool.append(pairs(3)) == 0
    assert spool.claim() is None
    assert numbers_of(drained(make_spool())) == [1, 2]


def test_a_segment_without_a_record_leaves_nothing(make_spool: MakeSpool, directory: Path) -> None:
    """Sealing is harmless when nothing was written."""
    spool = make_spool(limit_bytes=HEADER_SIZE + 1)
    assert spool.append(pairs(1)) == 0
    spool.seal()
    spool.seal()
    assert segments_in(directory) == []


def test_the_bound_is_over_the_directory(make_spool: MakeSpool, directory: Path) -> None:
    """What does not fit is not accepted, the first that fit are; draining makes room again."""
    limit = 1_000
    first, second = make_spool(limit_bytes=limit), make_spool(limit_bytes=limit)
    fits = (limit - HEADER_SIZE) // size_of(*pairs(0)[0])
    assert first.append(pairs(*range(50))) == fits
    assert second.append(pairs(99)) == 0
    assert sum(path.stat().st_size for path in segments_in(directory)) <= limit
    first.seal()
    assert len(drained(second)) == fits
    assert second.append(pairs(99)) == 1


def test_several_writers_overshoot_by_one_look_each(make_spool: MakeSpool, directory: Path) -> None:
    """Between two looks each other process may add what it looks at; the bound is stated, and holds."""
    limit, segment = 40_000, 2_000
    spools = [make_spool(limit_bytes=limit, segment_bytes=segment) for _ in range(4)]
    while sum(spool.append(pairs(*range(5))) for spool in spools):
        pass
    one = size_of(*pairs(0)[0])
    assert sum(path.stat().st_size for path in segments_in(directory)) <= limit + 3 * (segment + one)


def test_the_room_is_measured_now_and_then() -> None:
    """At first, after every look's worth of bytes, and when there seems to be none."""
    looks = []
    used = 0

    def measure() -> int:
        looks.append(used)
        return used

    room = Room(1_000, 100, measure)
    assert room.left(10) == 100
    room.take(60)
    assert (room.left(10), len(looks)) == (40, 1)
    room.take(60)
    used = 120
    assert (room.left(10), len(looks)) == (100, 2)
    used = 995
    assert room.left(900) == 5
    assert fitting([3, 3, 3], 8) == 2
    assert fitting([], 8) == 0


def test_a_deleted_directory_is_made_anew(make_spool: MakeSpool, directory: Path) -> None:
    """What comes after the deletion is kept; nothing is written into files that have no name."""
    spool = make_spool()
    spool.append(pairs(1))
    for path in segments_in(directory):
        path.unlink()
    spool.append(pairs(2))
    assert len(segments_in(directory)) == 1
    segments_in(directory)[0].unlink()
    directory.rmdir()
    assert spool.append(pairs(3)) == 1
    spool.seal()
    assert numbers_of(drained(spool)) == [3]


def test_a_renamed_directory_is_left_behind(make_spool: MakeSpool, directory: Path) -> None:
    """Records go to the path that was named, not to where its former directory lies now."""
    spool = make_spool()
    spool.append(pairs(1))
    directory.rename(directory.with_name("moved"))
    assert spool.append(pairs(2)) == 1
    assert len(segments_in(directory)) == len(segments_in(directory.with_name("moved"))) == 1
    spool.seal()
    assert numbers_of(drained(spool)) == [2]


def test_what_is_no_segment_is_passed_by(make_spool: MakeSpool, directory: Path) -> None:
    """Links, folders, pipes and strange files neither stop draining nor are touched."""
    spool = make_spool()
    spool.append(pairs(1))
    spool.seal()
    outside = directory.parent / "outside"
    outside.write_bytes(b"precious")
    (directory / "0.spool").symlink_to(outside)
    (directory / "1.spool").mkdir()
    os.mkfifo(directory / "2.spool")
    (directory / "notes.txt").write_text("x")
    assert numbers_of(drained(spool)) == [1]
    assert spool.status().segments == 0
    assert outside.read_bytes() == b"precious"
    assert len(list(directory.iterdir())) == 4


def test_a_segment_that_cannot_be_deleted_is_sent_once(make_spool: MakeSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process passes it over from then on, and says so, instead of sending it for ever."""
    spool = make_spool()
    spool.append(pairs(1))
    spool.seal()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        segment = spool.claim()
        assert segment is not None
        assert len(list(segment.records())) == 1
        assert not segment.done()
        assert segment.error == "Operation not permitted"
    assert spool.claim() is None
    assert spool._faults.count == 1
    assert numbers_of(drained(make_spool())) == [1]


@pytest.mark.parametrize("meanwhile", ["deleted", "set aside"])
def test_a_segment_finished_between_opening_and_locking_is_nobodys(
    make_spool: MakeSpool, directory: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """Whoever had it before is done with it; a writer whose new file is taken so begins another one."""
    spool = make_spool()
    spool.append(pairs(1))
    spool.seal()
    lock, left = locks._lock, [1]

    def late(fd: int, kind: int) -> bool:
        for path in segments_in(directory)[: left.pop() if left else 0]:
            path.unlink() if meanwhile == "deleted" else path.rename(path.with_suffix(".corrupt"))
        return lock(fd, kind)

    with monkeypatch.context() as patch:
        patch.setattr(locks, "_lock", late)
        assert spool.claim() is None
        left.append(1)
        assert spool.append(pairs(2)) == 1
    spool.seal()
    assert numbers_of(drained(spool)) == [2]


def test_a_directory_open_to_everybody_is_refused(directory: Path) -> None:
    """Anybody could put events into it; the message says how to mend it."""
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    with pytest.raises(Misconfigured, match="chmod 700"):
        Spool(SpoolSettings(directory), Faults())
    with pytest.raises(Misconfigured, match="chmod 700"):
        read_status(directory)
    directory.chmod(0o1777)
    Spool(SpoolSettings(directory), Faults()).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_somebody_elses_directory_is_refused(directory: Path) -> None:
    """So is a link that somebody else made, wherever it leads."""
    directory.mkdir(parents=True)
    link = directory.with_name("link")
    link.symlink_to(directory)
    Spool(SpoolSettings(link), Faults()).close()
    os.chown(link, 12345, 12345, follow_symlinks=False)
    with pytest.raises(Misconfigured, match="a link that belongs to user 12345"):
        Spool(SpoolSettings(link), Faults())
    os.chown(directory, 12345, 12345)
    with pytest.raises(Misconfigured, match="belongs to user 12345, and this process is user 0"):
        Spool(SpoolSettings(directory), Faults())


def test_what_can_never_be_a_spool_is_refused(tmp_path: Path) -> None:
    """A file in the place of the directory, or a bound that is none."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Misconfigured, match="cannot be used"):
            Spool(SpoolSettings(path), Faults())
    for wrong in ({"limit_bytes": 0}, {"segment_bytes": -1}):
        with pytest.raises(Misconfigured, match="positive"):
            SpoolSettings(tmp_path, **wrong)


def test_the_spool_is_light() -> None:
    """It brings the standard library alone, and of ours what every import of `taximeter` brings."""
    script = "import sys, taximeter.spool; print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    foreign = set(done.stdout.split()) - sys.stdlib_module_names - {"taximeter", "taximeter_schemas", "__main__"}
    assert not {name for name in foreign if not name.startswith(("_", "distutils", "sitecustomize"))}
