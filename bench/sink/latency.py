"""How soon an event is visible while the sink works at a tenth, at half and at nine tenths of what it can.

From the producer's clock, just before the event goes to librdkafka, until a SELECT on `stored_events` has found it. One
thread looks again and again, so a figure is too long by one look at most. The load, the broker, the sink and ClickHouse
share the cores of one machine, so at nine tenths the load itself takes from the sink what it needs to keep up.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.harness import Sample
from bench.sink import backlog as filling
from bench.sink.load import ACCOUNT
from bench.sink.rounds import Backlog
from bench.sites import PATIENCE_SECONDS, Site, open_site, require_alive
from bench.throughput import ready_at
from taximeter_infra.stack.child import Child, ChildSpec
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

_LOOK_SECONDS = 0.01
_SEEN = """
SELECT toString(event_id), toUnixTimestamp64Micro(occurred_at) / 1e6 FROM stored_events
WHERE account_id = {account:String}
"""
_PARTS = """
SELECT count(), countIf(table = 'stored_events') FROM system.part_log
WHERE database = {database:String} AND event_type = 'NewPart'
    AND event_time_microseconds >= fromUnixTimestamp64Micro({begin:Int64})
    AND event_time_microseconds <= fromUnixTimestamp64Micro({end:Int64})
"""


@dataclass(frozen=True)
class Window:
    """One stretch of load: seconds from event to visible, looks, and parts made in each second.

    `rate` is what was sent in each second, which may be less than what was asked for.
    """

    delays: tuple[float, ...]
    looks: tuple[float, ...]
    rate: float
    parts: float
    event_parts: float


def measure(backlog: Backlog, name: str, rate: float, seconds: float) -> Window:
    """Runs the sink under that many events a second. Raises Retryable when a probe does not show up."""
    topics = filling.topics_of(backlog.addresses, f"bench.{backlog.mark}.{name}", backlog.topics.partitions)
    with open_site(f"bench_{backlog.mark}_{name}", backlog.addresses, topics) as site:
        sink = site.start("sink", "--group", site.name)
        await_assigned(sink)
        argv = (sys.executable, "-m", "bench.sink.load", backlog.topics.events, topics.events, str(rate), str(seconds))
        log = site.logs / "load.log"
        load = Child.start(ChildSpec("load", argv, log, environment=backlog.addresses.environment()))
        site.held.callback(load.stop)
        made, delays, looks = _watch(site, load, sink)
        told = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
        everything, events = _parts(site.clickhouse, min(made), max(made))
        lasted = max(made) - min(made) or 1.0
        return Window(tuple(delays), tuple(looks), told["sent"] / told["seconds"], everything / lasted, events / lasted)


def samples(name: str, window: Window) -> dict[str, Sample]:
    """Under names that begin with `name`."""
    return {
        f"{name}_event_to_visible": Sample("ms", tuple(1000 * delay for delay in window.delays)),
        f"{name}_look_every": Sample("ms", tuple(1000 * look for look in window.looks)),
        f"{name}_load": Sample("events/s", (window.rate,)),
        f"{name}_parts": Sample("parts/s", (window.parts,)),
        f"{name}_parts_of_events": Sample("parts/s", (window.event_parts,)),
    }


def await_assigned(sink: Child) -> None:
    """Waits until the sink has its partitions. Raises Retryable."""

    def assigned() -> bool:
        require_alive(sink)
        return "partitions assigned" in sink.spec.log.read_text(encoding="utf-8")

    if not wait_until(assigned, PATIENCE_SECONDS):
        raise Retryable(f"the sink gets no partitions; look at {sink.spec.log}")
    ready_at(sink.spec.log.read_text(encoding="utf-8"))


def _watch(site: Site, load: Child, sink: Child) -> tuple[list[float], list[float], list[float]]:
    """Looks until the load has ended and all its probes are there: when made, how late seen, how often looked."""
    delays: dict[str, float] = {}
    made: list[float] = []
    looks: list[float] = []
    before, deadline = time.time(), time.monotonic() + PATIENCE_SECONDS
    expected: int | None = None
    while expected is None or len(delays) < expected:
        found = site.clickhouse.rows(_SEEN, {"account": ACCOUNT})
        now = time.time()
        for event_id, occurred in found:
            if event_id not in delays:
                delays[event_id] = now - occurred
                made.append(occurred)
        if delays:
            looks.append(now - before)
        before = now
        if expected is None and load.exit_code is not None:
            require_alive(load)
            expected = json.loads(load.spec.log.read_text(encoding="utf-8").splitlines()[-1])["probes"]
        require_alive(sink)
        if time.monotonic() > deadline:
            raise Retryable(f"{len(delays)} of {expected} probes are visible; look at {site.logs}")
        time.sleep(_LOOK_SECONDS)
    return made, list(delays.values()), looks


def _parts(clickhouse: ClickHouse, begin: float, end: float) -> tuple[int, int]:
    """Parts made by inserts between two instants: in all tables of the database, and in `stored_events`."""
    clickhouse.execute("SYSTEM FLUSH LOGS part_log")
    bounds = {"database": clickhouse.database, "begin": int(begin * 1e6), "end": int(end * 1e6)}
    everything, events = clickhouse.rows(_PARTS, bounds)[0]
    return everything, events
