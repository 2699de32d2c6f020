"""Under pressure: shed, then spill, then drop, each counted; and what is spilled is sent once the broker is back."""

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
from taximeter_schemas.errors import Poison
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.registry import PackagedRegistry


def _emit(meter: Meter, first: int, last: int) -> None:
    with meter.run() as run:
        for number in range(first, last):
            with run.node(f"n{number}") as node:
                node.ai(provider="p", model="m", input_tokens=1)
                node.describe(description="why", provider_metadata={"region": "eu"})


def _events(transport: MemoryTransport) -> list[MeterEvent]:
    registry = PackagedRegistry()
    return [decode(value, registry) for _, value in transport.stored]


def _numbers(transport: MemoryTransport) -> list[int]:
    return [int(event.node_id[1:]) for event in _events(transport)]


def test_what_only_helps_to_find_a_cause_goes_first() -> None:
    """From half of the room on, events go without it; what is billed stays whole, and nothing is dropped."""
    transport = MemoryTransport()
    transport.full = True
    meter = Meter(MeterSettings(queue_events=10), transport)
    _emit(meter, 0, 4)
    until(lambda: meter.counters().encoded == 4)
    _emit(meter, 4, 5)
    until(lambda: meter.counters().encoded == 5)
    _emit(meter, 5, 10)
    until(lambda: meter.counters().encoded == 10)
    assert (meter.counters().shed, dict(meter.counters().dropped)) == (6, {})
    transport.full = False
    assert meter.close(30)
    told = {event.node_id: (event.description, event.provider_metadata) for event in _events(transport)}
    assert [name for name, debug in told.items() if debug == ("", {})] == [f"n{n}" for n in range(4, 10)]
    assert all(event.ai and event.ai.input_tokens == 1 for event in _events(transport))


def test_what_cannot_be_sent_goes_to_disk_and_is_sent_later(tmp_path: Path) -> None:
    """A hundred events pass through a room for ten while the broker is away; all arrive, and the spool is empty."""
    transport = MemoryTransport()
    transport.down = True
    meter = Meter(MeterSettings(queue_events=10, spool_dir=tmp_path / "spool"), transport)
    for number in range(100):
        until(lambda: meter.counters().queue_depth < 10)
        _emit(meter, number, number + 1)
    counters = meter.counters()
    assert counters.spilled >= 90
    assert counters.dropped == {}
    transport.down = False
    until(lambda: meter.counters().queue_depth == 0 and meter.counters().drained == meter.counters().spilled)
    assert meter.close(30)
    assert set(_numbers(transport)) == set(range(100))
    counters = meter.counters()
    assert counters.accepted == counters.acknowledged + counters.spilled == 100
    assert counters.drained == counters.spilled
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_full_spool_is_the_end_of_the_room(tmp_path: Path) -> None:
    """Only then events are dropped, and each is counted."""
    transport = MemoryTransport()
    transport.silent = True
    meter = Meter(MeterSettings(queue_events=50, spool_dir=tmp_path / "spool", spool_bytes=2**20), transport)
    for number in range(6_000):
        _emit(meter, number, number + 1)
    until(lambda: meter.counters().dropped.get("full", 0) > 0 or meter.counters().queue_depth == 0)
    _emit(meter, 6_000, 9_000)
    counters = meter.counters()
    assert counters.dropped["full"] > 0
    assert counters.accepted + counters.dropped["full"] == 9_000
    until(lambda: meter.counters().encoded == meter.counters().accepted)
    counters = meter.counters()
    assert counters.accepted == counters.spilled + counters.queue_depth
    transport.silent = False
    meter.close(30)


def test_what_is_left_at_the_end_is_spooled_and_the_next_process_sends_it(tmp_path: Path) -> None:
    """Closing does not wait for a broker that is away, and loses nothing; the next meter needs no event to begin."""
    settings = MeterSettings(spool_dir=tmp_path / "spool")
    away = MemoryTransport()
    away.down = True
    meter = Meter(settings, away)
    _emit(meter, 0, 300)
    assert meter.close(0)
    counters = meter.counters()
    assert (counters.spilled, counters.lost_at_exit, counters.queue_depth) == (300, 0, 0)
    back = MemoryTransport()
    with Meter(settings, back) as after:
        until(lambda: after.counters().drained == 300)
    assert _numbers(back) == list(range(300))
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_spooled_event_that_can_never_be_sent_is_kept_aside(tmp_path: Path) -> None:
    """It neither blocks the others nor disappears."""
    settings = MeterSettings(spool_dir=tmp_path / "spool")
    away = MemoryTransport()
    away.down = True
    meter = Meter(settings, away)
    _emit(meter, 0, 3)
    meter.close(0)
    back = MemoryTransport()
    back.answers.append(Poison("msg_size_too_large", "too large"))
    with Meter(settings, back) as after:
        until(lambda: after.counters().drained == 2)
        until(lambda: [path.suffix for path in (tmp_path / "spool").iterdir()] == [".corrupt"])
    assert _numbers(back) == [1, 2]


def test_an_event_keeps_its_id_over_the_spool(tmp_path: Path) -> None:
    """Sent before and after, it collapses into one."""
    settings = MeterSettings(spool_dir=tmp_path / "spool")
    silent = MemoryTransport()
    meter = Meter(settings, silent)
    _emit(meter, 0, 1)
    assert meter.flush(30)
    silent.silent = True
    _emit(meter, 1, 2)
    until(lambda: silent.sends == 2)
    meter.close(0)
    back = MemoryTransport()
    with Meter(settings, back) as after:
        until(lambda: after.counters().drained == 1)
    assert _numbers(back) == [1]


_DYING = """
import os, signal, sys
from pathlib import Path
from taximeter import Meter, MeterSettings
from taximeter.emitter.transport import MemoryTransport

transport = MemoryTransport()
transport.down = True
if sys.argv[2] == "sigterm":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
meter = Meter(MeterSettings(queue_events=40, spool_dir=Path(sys.argv[1])), transport)
with meter.run() as run:
    for number in range(1_000):
        while meter.counters().queue_depth >= 40:
            pass
        with run.node(f"n{number}"):
            pass
        if sys.argv[2] == "kill" and number == 700:
            print(meter.counters().spilled, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
print(1_000, flush=True)
if sys.argv[2] == "sigterm":
    os.kill(os.getpid(), signal.SIGTERM)
if sys.argv[2] == "fork":
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize(
    "end", ["kill", "sigterm", *(pytest.param(end, marks=pytest.mark.long) for end in ("exit", "fork"))]
)
def test_what_was_spooled_outlives_its_process(end: str, tmp_path: Path) -> None:
    """A kill -9 costs what was in memory, not what was on disk; every other end costs nothing. No id comes twice."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _DYING, str(tmp_path / "spool"), end],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == (-signal.SIGKILL if end == "kill" else 0), done.stderr
    least = int(done.stdout)
    assert least > 600
    back = MemoryTransport()
    with Meter(MeterSettings(spool_dir=tmp_path / "spool"), back) as after:
        until(lambda: after.counters().drained >= least and list((tmp_path / "spool").iterdir()) == [])
    ids = [event.event_id for event in _events(back)]
    assert len(ids) == len(set(ids)) >= least
    if end != "kill":
        assert sorted(_numbers(back)) == list(range(1_000))


_FLOOD = """
import resource, sys
from taximeter import Meter, MeterSettings
from taximeter.emitter.transport import MemoryTransport

transport = MemoryTransport()
transport.silent = True
meter = Meter(MeterSettings(close_timeout_seconds=0), transport)
def flood(events):
    with meter.run(account_id="acme", tags={"team": "search"}) as run:
        for _ in range(events):
            with run.node("n", node_type="ai") as node:
                node.ai(provider="p", model="m", input_tokens=1)
flood(40_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
flood(int(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
counters = meter.counters()
assert counters.accepted + counters.dropped["full"] == 40_000 + int(sys.argv[1])
"""


def test_a_flood_into_a_dead_broker_does_not_grow_the_process() -> None:
    """Once the room is full, two hundred thousand further nodes add less than a megabyte."""
    done = subprocess.run(
        [sys.executable, "-c", _FLOOD, "200000"], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1_024
