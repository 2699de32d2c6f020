"""Real processes: killed while they write, several at once, forked with an open segment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.spool import processes
from tests.spool.conftest import MakeSpool, drained, numbers_of, pairs

from taximeter.spool import Fsync, Spool

_RUNS = 20


@contextmanager
def appending(directory: Path, first: int, batch: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that appends for ever; it is killed and waited for in the end."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, processes.__file__, str(directory), str(first), str(batch)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, bufsize=0)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def said(process: subprocess.Popen[bytes]) -> list[int]:
    """What a killed process had said: only whole lines count."""
    process.kill()
    process.wait()
    assert process.stdout is not None
    return [int(line) for line in process.stdout.read().split(b"\n")[:-1]]


def test_a_process_killed_at_any_moment_loses_nothing_it_accepted(make_spool: MakeSpool, directory: Path) -> None:
    """Twenty kills, one after the other, on one directory that is drained now and then; each record in its order."""
    moments = random.Random(20261122)
    spool = make_spool(fsync=Fsync.BATCH)
    accepted: set[int] = set()
    found: list[int] = []
    for run in range(_RUNS):
        first = run * 1_000_000
        with appending(directory, first, moments.randint(1, 60)) as process:
            assert process.stdout is not None
            heard = [int(process.stdout.readline()) for _ in range(moments.randint(1, 30))]
            # The moment of the kill is what this test varies: nothing is waited for.
            time.sleep(moments.uniform(0, 0.02))
            heard += said(process)
        accepted |= set(range(first, heard[-1]))
        if run % 3 == 0:
            found += numbers_of(drained(spool))
    found += numbers_of(drained(spool))
    assert accepted <= set(found)
    for run in range(_RUNS):
        own = [number for number in found if number // 1_000_000 == run]
        assert own == sorted(set(own)) == list(range(run * 1_000_000, run * 1_000_000 + len(own)))
    assert spool.status().corrupt_files == 0


def test_several_processes_share_a_directory(make_spool: MakeSpool, directory: Path) -> None:
    """While four write, a fifth drains what is sealed; killed in the end, they leave the rest to it."""
    spool = make_spool()
    writers: list[subprocess.Popen[bytes]] = []
    found: list[int] = []

    def work(left: int) -> list[int]:
        if left:
            with appending(directory, left * 1_000_000, 7) as process:
                writers.append(process)
                return work(left - 1)
        for writer in writers:
            assert writer.stdout is not None
            while int(writer.stdout.readline()) % 1_000_000 < 400:
                found.extend(numbers_of(drained(spool)))
        return [(said(writer) or [0])[-1] for writer in writers]

    ends = work(4)
    found += numbers_of(drained(spool))
    assert len(found) == len(set(found))
    for place, end in enumerate(ends):
        first = (4 - place) * 1_000_000
        assert set(range(first, max(end, first + 400))) <= set(found)
    assert spool.status().segments == 0


def in_child(work: Callable[[], object]) -> None:
    """Run it in a forked child; fails if the child does."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() is not False else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize("told", [True, False])
def test_a_forked_child_leaves_the_parents_segment_alone(make_spool: MakeSpool, told: bool) -> None:
    """The child writes its own, and neither frees nor drains the parent's, whether told of the fork or not."""
    spool, other = make_spool(), make_spool()
    spool.append(pairs(1))
    other.append(pairs(2))
    other.seal()
    held = other.claim()
    assert held is not None

    def child() -> bool:
        if told:
            spool.abandon()
            other.abandon()
        accepted = spool.append(pairs(3))
        held.done()
        held.release()
        nothing = spool.claim() is None and other.claim() is None and list(held.records()) == []
        spool.close()
        return accepted == 1 and nothing

    in_child(child)
    third = make_spool()
    assert numbers_of(drained(third)) == [3]
    assert spool.append(pairs(4)) == 1
    assert numbers_of(list(held.records())) == [2]
    assert held.done()
    spool.seal()
    assert numbers_of(drained(third)) == [1, 4]


def test_a_parents_segment_is_free_when_the_parent_gives_it_back(make_spool: MakeSpool) -> None:
    """Also while a child lives that never heard of the spool and holds a copy of every descriptor."""
    spool = make_spool()
    spool.append(pairs(1))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(reading, 1)
        os._exit(0)
    try:
        spool.seal()
        assert numbers_of(drained(make_spool())) == [1]
    finally:
        os.write(writing, b"x")
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


def test_a_killed_parents_segment_is_free_though_its_child_lives(make_spool: MakeSpool, directory: Path) -> None:
    """The child closed its copies after the fork, so the parent's death frees the lock."""
    script = (
        "import os, sys; from pathlib import Path; from taximeter.faults import Faults; "
        "from taximeter.spool import Spool, SpoolSettings; "
        f"spool = Spool(SpoolSettings(Path({str(directory)!r})), Faults()); "
        "spool.append([(b'run-1', b'00000001' + bytes([1]) * 40)]); "
        "child = os.fork(); child == 0 and spool.abandon(); "
        "os.write(1, b'c' if child == 0 else b'p'); sys.stdin.read()"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    heard = parent.stdout.read(1)
    assert heard is not None
    assert {heard, parent.stdout.read(1)} == {b"c", b"p"}
    spool: Spool = make_spool()
    assert spool.claim() is None
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert numbers_of(drained(spool)) == [1]
    # The child ends with its standard input.
    parent.stdin.close()
    assert parent.stdout.read() == b""
    parent.stdout.close()
