"""A meter's process: what holds when it forks, has children, and ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PREFORK = """
import os, sys, threading
from taximeter import Meter, MeterSettings, NodeHooks, current_node
from taximeter.emitter.transport import MemoryTransport

transport = MemoryTransport()
meter = Meter(MeterSettings(), transport)
hooks = NodeHooks(meter)
hooks.on_node_started("r", "callback")
with meter.run(run_id="parent") as run:
    node = run.node("across")
    with node:
        node.http()
        transport.silent = True
        with run.node("unsent"):
            pass
        child = os.fork()
        if child == 0:
            transport.silent = False
            current_node().http(requests=10)      # the parent's node: emitted at once as usage
    if child == 0:
        hooks.on_node_started("c", "own")
        hooks.on_node_completed("c", "own")
        with meter.run(run_id="child") as own, own.node("n"):
            pass
        assert meter.flush(30)
        from taximeter_schemas.codec import decode
        from taximeter_schemas.registry import PackagedRegistry
        events = [decode(value, PackagedRegistry()) for _, value in transport.stored]
        assert [(e.run_id, e.node_id, e.executions) for e in events if e.kind == "node"] == [
            ("c", "own", 1), ("child", "n", 1)], events
        assert [e.http.requests for e in events if e.kind == "usage"] == [10], events
        assert meter.counters().accepted == 3
        sys.exit(7)
transport.silent = False
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert meter.flush(30)
assert meter.counters().accepted == 2
print("both")
"""

_KAFKA_FORK = """
import os, sys
from taximeter import Meter
meter = Meter.from_environment()
def emit():
    with meter.run() as run, run.node("n"):
        pass
emit()
while not meter.counters().produced:
    pass
child = os.fork()
emit()
if child == 0:
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print("both")
"""


_CLOSED_FORK = """
import os, sys, threading
from taximeter import Meter, MeterSettings
from taximeter.emitter.transport import MemoryTransport

meter = Meter(MeterSettings(), MemoryTransport())
assert meter.close()
held, done = threading.Event(), threading.Event()
def hold():
    with meter._emitter._room._lock, meter.faults._lock:
        held.set()
        done.wait()
threading.Thread(target=hold).start()
held.wait()
child = os.fork()
if child == 0:
    with meter.run() as run, run.node("n") as node:
        node.breach("a mistake, to be noted")
    assert dict(meter.counters().dropped) == {"closed": 1}
    os._exit(7)
done.set()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print("both")
"""

_CHILDREN = """
import multiprocessing, sys
from pathlib import Path
from taximeter import Meter, MeterSettings
from taximeter.emitter.transport import MemoryTransport

class Noting(MemoryTransport):
    def send(self, key, value, on_delivery):
        super().send(key, value, on_delivery)
        with Path(sys.argv[2]).open("ab") as file:
            file.write(b".")

def work():
    meter = Meter(MeterSettings(), Noting())
    with meter.run() as run:
        for _ in range(20):
            with run.node("n"):
                pass

if __name__ == "__main__":
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    child.start()
    child.join()
    print(child.exitcode)
"""


def _python(script: str, *given: str, **variables: str) -> subprocess.CompletedProcess[str]:
    source = (script,) if Path(script).is_absolute() else ("-c", script)
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", *source, *given],
        capture_output=True, text=True, timeout=120, check=False, env=os.environ | variables,
    )  # fmt: skip


def test_a_forked_child_has_an_emitter_of_its_own() -> None:
    """Nothing of the parent's is sent twice, no node is ended twice, and both go on metering."""
    done = _python(_PREFORK)
    assert (done.returncode, done.stdout) == (0, "both\n"), done.stderr


def test_a_fork_with_a_live_kafka_client_ends_cleanly() -> None:
    """The child never touches the parent's client, not even to destroy it; both exit within their bound."""
    done = _python(_KAFKA_FORK, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", TAXIMETER_METER_CLOSE_TIMEOUT_SECONDS="0.2")
    assert (done.returncode, done.stdout) == (0, "both\n"), done.stderr


def test_a_dead_broker_neither_blocks_nor_litters() -> None:
    """A meter without a broker is made, used and left within the bound; standard error has at most our few lines."""
    script = (
        "import logging; logging.basicConfig()\n"
        "from taximeter import Meter\n"
        "meter = Meter.from_environment()\n"
        "with meter.run() as run:\n"
        "    for _ in range(100):\n"
        "        with run.node('n'):\n"
        "            pass\n"
        "assert meter.counters().accepted == 100\n"
        "print('done')"
    )
    done = _python(script, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", TAXIMETER_METER_CLOSE_TIMEOUT_SECONDS="0.5")
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert "100 events were not acknowledged" in done.stderr
    assert len(done.stderr.splitlines()) <= 6, done.stderr


def test_events_of_the_last_moment_are_sent_at_exit() -> None:
    """The exit of the interpreter closes the meter."""
    script = (
        "import atexit\n"
        "from taximeter import Meter, MeterSettings\n"
        "from taximeter.emitter.transport import MemoryTransport\n"
        "transport = MemoryTransport()\n"
        "atexit.register(lambda: print(len(transport.stored)))\n"
        "import taximeter.emitter.background\n"
        "meter = Meter(MeterSettings(), transport)\n"
        "with meter.run() as run, run.node('n'):\n"
        "    pass\n"
    )
    done = _python(script)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_a_meter_that_nobody_holds_any_more_still_sends_at_exit() -> None:
    """A function that makes a meter, emits and returns without closing it loses nothing."""
    script = (
        "import atexit, gc\n"
        "from taximeter import Meter, MeterSettings\n"
        "from taximeter.emitter.transport import MemoryTransport\n"
        "transport = MemoryTransport()\n"
        "transport.full = True\n"
        "atexit.register(lambda: print(len(transport.stored)))\n"
        "import taximeter.emitter.background\n"
        "def work():\n"
        "    meter = Meter(MeterSettings(), transport)\n"
        "    with meter.run() as run, run.node('n'):\n"
        "        pass\n"
        "work()\n"
        "gc.collect()\n"
        "atexit.register(lambda: setattr(transport, 'full', False))\n"
    )
    done = _python(script)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_multiprocessing_child_sends_its_last_events(method: str, tmp_path: Path) -> None:
    """Such a child passes `atexit` by; what it emitted is sent all the same before it ends."""
    script, sent = tmp_path / "children.py", tmp_path / "sent"
    script.write_text(_CHILDREN, encoding="utf-8")
    done = _python(str(script), method, str(sent))
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    assert sent.read_bytes() == b"." * 20


def test_a_child_of_a_process_with_a_closed_meter_does_not_lock_up() -> None:
    """Also when another thread was inside the meter at the moment of the fork."""
    done = _python(_CLOSED_FORK)
    assert (done.returncode, done.stdout) == (0, "both\n"), done.stderr
