"""How processes end: nothing locks up, and nothing is lost beyond what the policy states."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sdk.waiting import until

from taximeter import Meter, MeterSettings
from taximeter.emitter.transport import MemoryTransport
from taximeter_schemas.codec import decode
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.registry import PackagedRegistry

# `Noting` writes the node id of every event that it is sent to a file that outlives the process.
_HEAD = """
import asyncio, atexit, gc, multiprocessing, os, signal, sys, threading, time
from pathlib import Path
from taximeter import Meter, MeterSettings, current_node
from taximeter.emitter.transport import MemoryTransport
from taximeter_schemas.codec import decode
from taximeter_schemas.registry import PackagedRegistry

SENT, SPOOL = Path(sys.argv[1]) / "sent", Path(sys.argv[1]) / "spool"

class Noting(MemoryTransport):
    def send(self, key, value, on_delivery):
        super().send(key, value, on_delivery)
        event = decode(value, PackagedRegistry())
        with SENT.open("ab") as file:
            file.write(f"{event.node_id} {event.outcome} {event.executions}\\n".encode())

def emit(meter, *names):
    with meter.run() as run:
        for name in names:
            with run.node(str(name)):
                pass
"""


def _run(script: str, directory: Path) -> subprocess.CompletedProcess[str]:
    file = directory / "script.py"
    file.write_text(_HEAD + script, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(file), str(directory)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def _sent(directory: Path) -> list[str]:
    file = directory / "sent"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def _drained(directory: Path) -> list[MeterEvent]:
    back = MemoryTransport()
    spool = directory / "spool"
    with Meter(MeterSettings(spool_dir=spool), back):
        until(lambda: not list(spool.iterdir()))
    registry = PackagedRegistry()
    return [decode(value, registry) for _, value in back.stored]


_PREFORK = """
transport = MemoryTransport()
transport.down = True
meter = Meter(MeterSettings(spool_dir=SPOOL, close_timeout_seconds=0.1), transport)
emit(meter, *(f"parent.{n}" for n in range(50)))
ready, go = os.pipe()
workers = []
for worker in range(3):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        emit(meter, *(f"worker{worker}.{n}" for n in range(50)))
        os.write(go, b".")
        while True:
            signal.pause()
    workers.append(child)
said = b""
while len(said) < 3:
    said += os.read(ready, 3)
for child in workers:
    os.kill(child, signal.SIGTERM)
assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in workers] == [0, 0, 0]
emit(meter, "parent.last")
"""


def test_workers_that_were_forked_from_a_meter_with_a_spool_lose_nothing(tmp_path: Path) -> None:
    """As gunicorn does it: parent and workers write to one directory, and end by SIGTERM while the broker is away."""
    done = _run(_PREFORK, tmp_path)
    assert done.returncode == 0, done.stderr
    events = _drained(tmp_path)
    expected = {f"{who}.{n}" for who in ("parent", "worker0", "worker1", "worker2") for n in range(50)}
    assert {event.node_id for event in events} == expected | {"parent.last"}
    assert len({event.event_id for event in events}) == len(expected) + 1


_FORKS_WHILE_AT_WORK = """
transport = MemoryTransport()
transport.down = True
meter = Meter(MeterSettings(spool_dir=SPOOL, queue_events=40), transport)
emit(meter, *(f"before.{n}" for n in range(30)))
meter.close(0)

meter = Meter(MeterSettings(spool_dir=SPOOL, queue_events=40, close_timeout_seconds=20), Noting())
stop = threading.Event()
def busy():
    with meter.run() as run, run.node("busy"):
        while not stop.is_set():
            current_node().http()
            emit(meter, "stream")
            time.sleep(0.0005)
thread = threading.Thread(target=busy)
thread.start()
for number in range(25):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        emit(meter, f"child.{number}")
        sys.exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 0, status
stop.set()
thread.join()
"""


def test_a_fork_at_any_moment_leaves_both_at_work(tmp_path: Path) -> None:
    """Also while the parent drains, sends and records: every child sends its own event once, and ends."""
    done = _run(_FORKS_WHILE_AT_WORK, tmp_path)
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in _sent(tmp_path)]
    assert sorted(name for name in names if name.startswith("child")) == sorted(f"child.{n}" for n in range(25))
    assert names.count("busy") == 1
    assert {f"before.{n}" for n in range(30)} <= set(names) | {event.node_id for event in _drained(tmp_path)}


_FORK_IN_A_RECORD = """
meter = Meter(MeterSettings(), Noting())
held, done = threading.Event(), threading.Event()
with meter.run() as run:
    with run.node("across") as node:
        def record():
            with node._lock:
                held.set()
                done.wait()
        thread = threading.Thread(target=record)
        thread.start()
        held.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            node.http()
        done.set()
if child == 0:
    sys.exit(7)
thread.join()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


def test_a_child_leaves_a_node_that_another_thread_was_recording_on(tmp_path: Path) -> None:
    """That thread is not there in the child, and the lock that it held is never given back."""
    done = _run(_FORK_IN_A_RECORD, tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(_sent(tmp_path)) == ["across success 0", "across success 1"]


_OS_EXIT = """
transport = Noting()
meter = Meter(MeterSettings(spool_dir=SPOOL, queue_events=20), transport)
emit(meter, "sent")
assert meter.flush(30)
transport.down = True
for n in range(200):
    while meter.counters().queue_depth >= 20:
        pass
    emit(meter, n)
print(meter.counters().spilled, flush=True)
os._exit(3)
"""


def test_os_exit_costs_what_is_in_memory_and_no_more(tmp_path: Path) -> None:
    """What was acknowledged or spooled is there; the room is the bound of the loss."""
    done = _run(_OS_EXIT, tmp_path)
    assert done.returncode == 3, done.stderr
    spilled = int(done.stdout)
    assert spilled >= 180
    names = {event.node_id for event in _drained(tmp_path)}
    assert spilled <= len(names) <= 200
    assert "sent success 1" in _sent(tmp_path)


_SIGTERM = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
meter = Meter(MeterSettings(queue_events=100_000, close_timeout_seconds=60), Noting())
done = 0
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
try:
    with meter.run() as run:
        while True:
            with run.node("n"):
                current_node().http()
            done += 1
            if done > 3_000:
                time.sleep(0.01)
finally:
    print(done, flush=True)
"""


def test_sigterm_with_sys_exit_sends_every_node_that_has_ended(tmp_path: Path) -> None:
    """In the middle of a loop of nodes; at most the one in whose end the signal came is missing."""
    done = _run(_SIGTERM, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len(_sent(tmp_path)) >= int(done.stdout) > 0


def test_sigterm_without_a_handler_costs_what_is_in_memory(tmp_path: Path) -> None:
    """Python ends at once; what was spooled is there for the next process."""
    script = _OS_EXIT.replace("os._exit(3)", "os.kill(os.getpid(), signal.SIGTERM)")
    done = _run(script, tmp_path)
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert len(_drained(tmp_path)) >= int(done.stdout) >= 180


_FULL_QUEUE = """
transport = Noting()
transport.full = True
meter = Meter(MeterSettings(queue_events=500, close_timeout_seconds=60), transport)
emit(meter, *range(600))
assert (meter.counters().accepted, meter.counters().dropped["full"]) == (500, 100)
atexit.register(lambda: setattr(transport, "full", False))
"""


def test_a_full_queue_is_sent_at_the_interpreters_exit(tmp_path: Path) -> None:
    """Each event once, in its order."""
    done = _run(_FULL_QUEUE, tmp_path)
    assert done.returncode == 0, done.stderr
    assert _sent(tmp_path) == [f"{n} success 1" for n in range(500)]


_LOOP_CLOSED = """
meter = Meter(MeterSettings(), Noting())

async def work(name, deliver):
    async with meter.run(deliver=deliver) as run:
        async with run.node(name + ".done"):
            current_node().http()
        async with run.node(name + ".open"):
            current_node().http()
            await asyncio.sleep(3600)

async def main():
    for deliver in ("progressively", "at_end"):
        tasks.append(asyncio.ensure_future(work(deliver, deliver)))
    await asyncio.sleep(0.01)

tasks = []
if END == "run":
    asyncio.run(main())
else:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    if END == "dropped":
        tasks.clear()
        gc.collect()
"""


@pytest.mark.parametrize("end", ["run", "dropped"])
def test_nodes_in_tasks_that_a_loop_left_behind_are_emitted(end: str, tmp_path: Path) -> None:
    """`asyncio.run` cancels them; a loop that is closed early throws them away. Both are cancelled nodes."""
    done = _run(f"END = {end!r}\n" + _LOOP_CLOSED, tmp_path)
    assert done.returncode == 0, done.stderr
    expected = [f"{name}.{node}" for name in ("progressively", "at_end") for node in ("done success", "open cancelled")]
    assert sorted(_sent(tmp_path)) == sorted(f"{one} 1" for one in expected)


def test_a_loop_that_is_closed_at_the_very_end_does_not_lock_up(tmp_path: Path) -> None:
    """Nodes that are still open then are lost with the process; those that had ended are sent."""
    done = _run("END = 'kept'\n" + _LOOP_CLOSED, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "progressively.done success 1" in _sent(tmp_path)


_THREADS_AT_EXIT = """
meter = Meter(MeterSettings(queue_events=1_000, spool_dir=SPOOL), Noting())
emit(meter, "first")
def busy():
    with meter.run() as run:
        while True:
            with run.node("busy") as node:
                node.http()
for _ in range(4):
    threading.Thread(target=busy, daemon=True).start()
def unfinished():
    with meter.run() as run, run.node("unfinished"):
        yield
left = unfinished()
next(left)
while not meter.counters().encoded > 100:
    time.sleep(0.01)
"""


def test_threads_inside_hooks_at_the_exit_do_not_hold_it_up(tmp_path: Path) -> None:
    """Daemon threads are stopped wherever they are, also with a lock of ours in hand; the process ends all the same."""
    done = _run(_THREADS_AT_EXIT, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    names = {line.split()[0] for line in _sent(tmp_path)} | {event.node_id for event in _drained(tmp_path)}
    assert {"first", "busy"} <= names


_LOCK_AT_EXIT = """
meter = Meter(MeterSettings(), MemoryTransport())
held, closed = threading.Event(), threading.Event()

# Its names are its own: a thread that is stopped keeps what it can see, and here that must not be the main module.
own = {"closed": closed, "held": held, "lock": meter._emitter._room._lock, "sleep": time.sleep}
exec("def hold():\\n closed.wait()\\n with lock:\\n  held.set()\\n  while True:\\n   sleep(0.01)", own)
threading.Thread(target=own.pop("hold"), daemon=True).start()

def after_the_meter():
    closed.set()
    held.wait()

import taximeter.emitter.background as background
atexit.unregister(background._close_all)
atexit.register(after_the_meter)
atexit.register(background._close_all)

def unfinished():
    with meter.run() as run, run.node("unfinished"):
        yield

class Last:
    def __init__(self):
        self.left = unfinished()
        next(self.left)
    def __del__(self):
        self.left.close()
        os.write(1, b"the very end")

last = Last()
"""


def test_a_lock_that_a_stopped_thread_holds_is_not_waited_for(tmp_path: Path) -> None:
    """What ends a node after that, in the interpreter's last moments, passes by."""
    done = _run(_LOCK_AT_EXIT, tmp_path)
    assert (done.returncode, done.stdout) == (0, "the very end"), done.stderr


_CHILD_WITH_A_SPOOL = """
meter = Meter(MeterSettings(spool_dir=SPOOL), Noting())      # in every process that imports this
emit(meter, "import")
assert meter.flush(30)

def work():
    emit(meter, *range(200))

if __name__ == "__main__":
    child = multiprocessing.get_context(METHOD).Process(target=work)
    child.start()
    child.join()
    assert child.exitcode == 0
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_multiprocessing_child_of_a_module_with_a_meter_sends_its_last_events(method: str, tmp_path: Path) -> None:
    """The meter's thread is at work there before the child knows that it is one."""
    done = _run(f"METHOD = {method!r}\n" + _CHILD_WITH_A_SPOOL, tmp_path)
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in _sent(tmp_path)]
    assert sorted(name for name in names if name != "import") == sorted(map(str, range(200)))


def test_a_wait_may_be_for_ever() -> None:
    """An infinite bound is a long one, and no exception."""
    meter = Meter(MeterSettings(), MemoryTransport())
    with meter.run() as run, run.node("n"):
        pass
    assert meter.flush(float("inf"))
    assert meter.close(float("inf"))
