"""The async form, and what happens when the host goes away."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.code.processes import children_of_this_process, mark, with_argument

from taximeter.code import CodeLimits, CodeStatus, Sandbox, arun_code
from taximeter.testing import memory_meter
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Misconfigured


def test_the_loop_goes_on_while_code_runs(where: Sandbox) -> None:
    """Two runs are waited for at once, and each is recorded on the node of its task."""

    async def one(name: str) -> None:
        async with run.node(name):
            assert (await arun_code("import time; time.sleep(0.2)")).ok

    async def both() -> int:
        turns = 0
        work = asyncio.gather(one("a"), one("b"))
        while not work.done():
            await asyncio.sleep(0.005)
            turns += 1
        await work
        return turns

    with memory_meter() as recorded, recorded.meter.run() as run:
        assert asyncio.run(both()) > 1
    assert all(events[0].code is not None for events in recorded.by_node().values())
    assert set(recorded.by_node()) == {"a", "b"}


def test_a_cancellation_kills_the_code(where: Sandbox) -> None:
    """Before it is passed on, everything is gone."""
    seconds = mark()

    async def work() -> None:
        task = asyncio.create_task(arun_code(["sleep", seconds]))
        while not with_argument(seconds):
            assert not task.done()
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = children_of_this_process()
    asyncio.run(work())
    assert with_argument(seconds) == []
    assert children_of_this_process() == before


def test_a_timeout_of_asyncio_kills_it_too(where: Sandbox) -> None:
    """`asyncio.timeout` is a cancellation."""
    seconds = mark()

    async def work() -> None:
        async with asyncio.timeout(0.3):
            await arun_code(["sleep", seconds])

    with pytest.raises(TimeoutError):
        asyncio.run(work())
    assert with_argument(seconds) == []


def test_a_coroutine_that_is_dropped_leaves_nothing(where: Sandbox) -> None:
    """As when a loop is closed early: nobody awaits the end, and the code ends."""
    seconds = mark()

    async def work() -> None:
        dropped = arun_code(["sleep", seconds])
        dropped.send(None)
        assert await asyncio.to_thread(wait_until, lambda: bool(with_argument(seconds)), 30)
        dropped.close()

    asyncio.run(work())
    assert wait_until(lambda: not with_argument(seconds), 30)


def test_a_host_with_many_open_files_is_served(where: Sandbox) -> None:
    """Pipes with numbers beyond 1,024 are pipes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, hard), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1_100)]
    try:
        assert asyncio.run(arun_code("print('fine')")).stdout == b"fine\n"
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_errors_reach_the_task() -> None:
    """As from the sync form."""
    with pytest.raises(Misconfigured):
        asyncio.run(arun_code(["no-such-program-here"]))


def test_the_async_form_has_the_same_answers(where: Sandbox) -> None:
    """Status and limits."""
    result = asyncio.run(arun_code("while True: pass", limits=CodeLimits(wall_seconds=0.3)))
    assert result.status is CodeStatus.TIMEOUT


HOST = """
import sys, threading, asyncio
from taximeter.code import run_code, arun_code, sandbox
form, seconds, boxed = sys.argv[1:]
if boxed == "none":
    sandbox.bubblewrap = lambda: None
if form == "sync":
    run_code(["sleep", seconds])
elif form == "thread":
    threading.Thread(target=run_code, args=(["sleep", seconds],)).start()
else:
    asyncio.run(arun_code(["sleep", seconds]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("form", ["sync", "thread", "async"])
def test_the_code_ends_with_its_host(where: Sandbox, form: str, number: signal.Signals, tmp_path: Path) -> None:
    """Also where the host had no time to do anything about it."""
    if (form, number) == ("thread", signal.SIGINT):
        pytest.skip("the interpreter then waits for the host's own thread")
    seconds = mark()
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, form, seconds, where.value],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        assert wait_until(lambda: bool(with_argument(seconds)) and _started(seconds), 30)
        host.send_signal(number)
        host.wait(30)
    finally:
        host.kill()
        host.wait()
    assert wait_until(lambda: not [pid for pid in with_argument(seconds) if pid != host.pid], 30)
    assert wait_until(lambda: not list(tmp_path.iterdir()), 30), "the run's folder is still there"


def _started(seconds: str) -> bool:
    return any(
        Path(f"/proc/{pid}/comm").read_text().strip() == "sleep" for pid in with_argument(seconds) if _alive(pid)
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_exception_in_the_waiting_thread_ends_the_code(where: Sandbox) -> None:
    """As Ctrl-C does: a signal handler of the host raises while it waits."""
    from taximeter.code import run_code

    seconds = mark()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def knock() -> None:
        assert wait_until(lambda: bool(with_argument(seconds)) and _started(seconds), 30)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    former = signal.signal(signal.SIGUSR1, interrupt)
    thread = threading.Thread(target=knock)
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            run_code(["sleep", seconds])
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, former)
    assert with_argument(seconds) == []
