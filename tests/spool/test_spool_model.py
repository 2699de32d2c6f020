"""The spool against a model: three processes on one directory, crashes, damage, a bound; nothing accepted is lost.

A process is a `Spool` of its own here: locks are per open file, so they exclude each other as processes do. Its crash
is what the kernel does to a killed process: its descriptors are closed, its files stay, with a part of a record at the
end. Each flipped or cut byte is charged to the records that it hits, and to no others.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.spool.conftest import numbers_of, pairs

from taximeter.faults import Faults
from taximeter.spool import Fsync, Segment, Spool, SpoolSettings
from taximeter.spool.layout import HEADER_SIZE, record_of, size_of

PROCESSES = st.integers(0, 2)
LIMIT, SEGMENT = 4_000, 700


@dataclass
class File:
    """What a segment must hold: numbers with the place at which each ends, and those that damage may have cost."""

    ends: list[tuple[int, int]] = field(default_factory=list)
    hit: set[int] = field(default_factory=set)
    damaged: bool = False


class SpoolModel(RuleBasedStateMachine):
    """Accepted records come out at least once, in order, unaltered."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.directory = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.directory.chmod(0o700)
        self.spools = [self.open() for _ in range(3)]
        self.files: dict[str, File] = {}
        self.claimed: list[Segment | None] = [None] * 3
        self.next = 0

    def open(self) -> Spool:
        """A process's spool. Without flushes: a kill loses nothing of what the kernel has."""
        return Spool(SpoolSettings(self.directory, LIMIT, SEGMENT, Fsync.NEVER), Faults())

    @rule(process=PROCESSES, count=st.integers(0, 9), size=st.integers(0, 300))
    def append(self, process: int, count: int, size: int) -> None:
        """Accepted is a first part of what was offered; the files hold exactly that."""
        spool = self.spools[process]
        offered = pairs(*range(self.next, self.next + count), size=size)
        self.next += count
        accepted = self.taken(spool, offered)
        assert 0 <= accepted <= count
        assert accepted == count or self.used() + size_of(b"run-99999", b"x" * (8 + size)) + HEADER_SIZE > LIMIT

    def taken(self, spool: Spool, offered: list[tuple[bytes, bytes]]) -> int:
        before = {path.name: path.stat().st_size for path in self.directory.iterdir()}
        accepted = spool.append(offered)
        rest = list(zip(numbers_of(offered[:accepted]), offered, strict=False))
        for path in sorted(self.directory.glob("*.spool")):
            at, end = before.get(path.name, HEADER_SIZE), path.stat().st_size
            if end == before.get(path.name):
                continue
            while at < end:
                number, record = rest.pop(0)
                at += size_of(*record)
                self.files.setdefault(path.name, File()).ends.append((number, at))
            assert at == end
        assert not rest
        return accepted

    def used(self) -> int:
        return sum(path.stat().st_size for path in self.directory.iterdir())

    @rule(process=PROCESSES)
    def seal(self, process: int) -> None:
        """What was written can be claimed by anybody."""
        self.spools[process].seal()

    @rule(process=PROCESSES, torn=st.integers(0, 60))
    def crash(self, process: int, torn: int) -> None:
        """The process is killed while it writes one more record, of which `torn` bytes reach the file."""
        spool = self.spools[process]
        writer = spool._writer
        if writer is not None:
            os.write(writer.fd, record_of(writer.salt, b"never", b"accepted" * 9)[:torn])
        spool.abandon()
        self.claimed[process] = None
        self.spools[process] = self.open()

    @rule(process=PROCESSES)
    def claim(self, process: int) -> None:
        """The oldest file that nobody holds, read from its beginning."""
        if self.claimed[process] is not None:
            return
        held = {one.name for one in self.claimed if one} | {s._writer.name for s in self.spools if s._writer}
        free = sorted(set(self.waiting()) - held)
        segment = self.spools[process].claim()
        assert (segment.name if segment else None) == (free[0] if free else None)
        self.claimed[process] = segment

    @precondition(lambda self: any(self.claimed))
    @rule(process=PROCESSES)
    def done(self, process: int) -> None:
        """All that must come has come, in order, unaltered; then the file goes, or is kept if it is damaged."""
        segment, self.claimed[process] = self.claimed[process], None
        if segment is None:
            return
        self.check(segment)
        assert segment.done()
        file = self.files.pop(segment.name, File())
        assert not segment.path.exists()
        assert file.damaged or segment.kept is None
        if segment.kept is not None:
            # The operator makes room.
            segment.kept.unlink()

    def check(self, segment: Segment) -> None:
        file = self.files.get(segment.name, File())
        written = [number for number, _ in file.ends]
        found = numbers_of(list(segment.records()))
        assert found == sorted(set(found))
        assert set(found) <= set(written)
        assert set(written) - set(found) <= file.hit

    @rule(process=PROCESSES)
    def release(self, process: int) -> None:
        """Given back, it waits as before."""
        segment, self.claimed[process] = self.claimed[process], None
        if segment is not None:
            segment.release()

    @precondition(lambda self: any(self.waiting()))
    @rule(data=st.data())
    def flip(self, data: st.DataObject) -> None:
        """One byte of a file that nobody holds open changes."""
        path = self.free_file(data)
        if path is None:
            return
        content = bytearray(path.read_bytes())
        if len(content) <= HEADER_SIZE:
            return
        place = data.draw(st.integers(HEADER_SIZE, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        file = self.files.setdefault(path.name, File())
        file.damaged = True
        begin = HEADER_SIZE
        for number, end in file.ends:
            if begin <= place < end:
                file.hit.add(number)
            begin = end

    @precondition(lambda self: any(self.waiting()))
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        """A file is cut at any byte."""
        path = self.free_file(data)
        if path is None:
            return
        size = data.draw(st.integers(0, path.stat().st_size))
        os.truncate(path, size)
        file = self.files.setdefault(path.name, File())
        file.hit |= {number for number, end in file.ends if end > size}

    def free_file(self, data: st.DataObject) -> Path | None:
        held = {one.name for one in self.claimed if one} | {s._writer.name for s in self.spools if s._writer}
        free = sorted(set(self.waiting()) - held)
        return self.directory / data.draw(st.sampled_from(free)) if free else None

    def waiting(self) -> list[str]:
        """Files to be drained."""
        return [path.name for path in self.directory.glob("*.spool")]

    @invariant()
    def status_tells_what_is_there(self) -> None:
        """Segments, bytes and events are those of the files; the bound holds but for one look of each other process."""
        status = self.spools[0].status()
        assert status.segments == len(self.waiting())
        assert status.waiting_bytes + status.corrupt_bytes == self.used()
        must = sum(number not in file.hit for file in self.files.values() for number, _ in file.ends)
        assert must <= status.records <= sum(len(file.ends) for file in self.files.values())
        assert self.used() <= LIMIT + 2 * (SEGMENT + 400) + 60 * 3

    def teardown(self) -> None:
        """Everything left is drained by a fourth process."""
        with self.stack:
            for spool in self.spools:
                spool.close()
            self.drain_all()

    def drain_all(self) -> None:
        """Nothing that must be there is missing."""
        last = self.open()
        while (segment := last.claim()) is not None:
            self.check(segment)
            assert segment.done()
            self.files.pop(segment.name, None)
        last.close()
        assert all({number for number, _ in file.ends} <= file.hit for file in self.files.values())
        assert self.waiting() == []
        assert all(spool._faults.count == 0 or spool._claims.corrupted for spool in self.spools)


SpoolModel.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestSpoolModel = SpoolModel.TestCase
