"""How soon an event is there: from the end of a node in an executor to its row in `events` and in `run_costs`.

The pipeline runs under a steady load from another process. Probes go through the SDK like anybody's events: a run with
one AI node each, in an account of their own, so that looking for them reads little. Two threads look, one for each
table, again and again; a probe counts as visible when an answer that holds it is back, so what is measured is at most
one look too long (`look_every` says how long that is).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.harness import Sample, pair_ratios
from bench.sites import PATIENCE_SECONDS, Site, bench_topics, open_site, require_alive
from taximeter import Meter, MeterSettings
from taximeter.emitter.kafka import KafkaTransport
from taximeter.faults import Faults
from taximeter_consumers.clickhouse import connect
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable
from taximeter_schemas.settings import ClickHouseSettings

if TYPE_CHECKING:
    from taximeter_infra.stack.child import Child
    from taximeter_infra.stack.plan import StackAddresses

PROBE_EVERY_SECONDS = 0.25
_LOOK_EVERY_SECONDS = 0.02
_ACCOUNT = "freshness-probe"
_TABLES = {"stored": "events", "rolled_up": "run_costs"}


@dataclass(frozen=True)
class Load:
    """Events per second, for how many seconds, and how often the aggregator ticks (seconds)."""

    rate: float
    seconds: float
    interval: float


@dataclass
class Lookout:
    """Waits in a thread of its own for runs to show up in one table."""

    table: str
    settings: ClickHouseSettings
    waiting: dict[str, float] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    gaps: list[float] = field(default_factory=list)
    failure: BaseException | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def expect(self, run_id: str, ended: float) -> None:
        """From now on look for this run, whose node ended at that monotonic time."""
        self.waiting[run_id] = ended

    def start(self) -> threading.Thread:
        """Begins to look, until `stop`."""
        thread = threading.Thread(target=self._run, name=f"lookout-{self.table}", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """The thread ends after its present look."""
        self._stop.set()

    def _run(self) -> None:
        try:
            self._look_on()
        except BaseException as error:  # noqa: BLE001 - told to the main thread, which raises it
            self.failure = error

    def _look_on(self) -> None:
        # A closed list of names; the rest is bound.
        sql = (
            f"SELECT DISTINCT run_id FROM {self.table}"
            " WHERE account_id = {account:String} AND run_id IN {runs:Array(String)}"
        )
        before: float | None = None
        with closing(connect(self.settings)) as clickhouse:
            while not self._stop.wait(_LOOK_EVERY_SECONDS):
                runs = list(self.waiting)
                if not runs:
                    before = None
                    continue
                found = clickhouse.rows(sql, {"account": _ACCOUNT, "runs": runs})
                now = time.monotonic()
                if before is not None:
                    self.gaps.append(now - before)
                before = now
                self.delays.update((run, now - self.waiting.pop(run)) for (run,) in found)


def measure(
    addresses: StackAddresses, load: Load, say: Callable[[str], None]
) -> tuple[dict[str, Sample], dict[str, tuple[float, ...]]]:
    """Runs the pipeline under the load and probes it; returns samples and ratios.

    Raises Retryable when a probe or an event does not arrive.
    """
    with open_site("bench_freshness", addresses, bench_topics("paced", addresses)) as site, ExitStack() as held:
        services = [
            site.start("sink", "--group", site.name),
            site.start("aggregate", "--follow", "--interval", str(load.interval)),
        ]
        settings = ClickHouseSettings(url=addresses.clickhouse_url, database=site.name)
        lookouts = {name: Lookout(table, settings) for name, table in _TABLES.items()}
        for lookout in lookouts.values():
            thread = lookout.start()
            held.callback(thread.join)
            held.callback(lookout.stop)
        faults = Faults()
        meter = Meter(MeterSettings(), KafkaTransport(site.kafka, site.topics.events, faults), faults=faults)
        held.callback(meter.close)
        watched = list(lookouts.values())
        say("waiting until the services answer")
        _probe(meter, watched)
        _await_probes(watched, services)
        for lookout in watched:
            lookout.delays.clear()
            lookout.gaps.clear()
        say(f"probing under {load.rate:g} events/s for {load.seconds:g} s")
        probes = _probe_under_load(site, meter, watched, load, services)
        _await_probes(watched, services)
        emitted = probes + 1 + int(load.rate * load.seconds)
        if not wait_until(lambda: site.stored() >= emitted, PATIENCE_SECONDS):
            raise Retryable(f"{site.stored()} of {emitted} events are stored; look at {site.logs}")
        log = services[1].spec.log.read_text(encoding="utf-8")
        stored, rolled_up = (lookouts[name].delays for name in _TABLES)
        seen = {name: (list(lookout.delays.values()), lookout.gaps) for name, lookout in lookouts.items()}
        return samples(seen, tick_seconds(log)), ratios(stored, rolled_up)


def tick_seconds(log: str) -> list[float]:
    """How long each tick that had work took, by the aggregator's log."""
    said = (json.loads(line) for line in log.splitlines() if line.startswith("{"))
    return [float(entry["seconds"]) for entry in said if entry.get("event") == "rolled up"]


def ratios(stored: Mapping[str, float], rolled_up: Mapping[str, float]) -> dict[str, tuple[float, ...]]:
    """Each probe is a pair: how long until it was in the rollups, over how long until it was stored."""
    runs = sorted(stored)
    return {"rolled_up_vs_stored_delay": pair_ratios([rolled_up[run] for run in runs], [stored[run] for run in runs])}


def samples(seen: dict[str, tuple[list[float], list[float]]], ticks: list[float]) -> dict[str, Sample]:
    """Milliseconds out of (delays, gaps between looks) and durations of ticks in seconds."""
    found: dict[str, Sample] = {}
    for name, (delays, _) in seen.items():
        found[f"node_end_to_{name}"] = _milliseconds(delays)
    for name, (_, gaps) in seen.items():
        if gaps:
            found[f"look_every_{name}"] = _milliseconds(gaps)
    if ticks:
        found["aggregator_tick"] = _milliseconds(ticks)
    return found


def _probe_under_load(site: Site, meter: Meter, lookouts: list[Lookout], load: Load, services: list[Child]) -> int:
    """Probes from the first stored event of the load to the last one sent; how many probes there were."""
    before = site.stored()
    events = str(int(load.rate * load.seconds))
    # Its clock starts now, as that of a live executor: the minutes and hours that ticks recompute are those of now.
    sending = site.start("simulate", "--events", events, "--rate", str(load.rate), "--seed", "12", "--start", "0s")
    if not wait_until(lambda: site.stored() > before or bool(sending.exit_code), PATIENCE_SECONDS):
        raise Retryable(f"nothing of the load is stored; look at {site.logs}")
    probes, due = 0, time.monotonic()
    while sending.exit_code is None:
        _probe(meter, lookouts)
        probes += 1
        require_alive(*services)
        due += PROBE_EVERY_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
    require_alive(sending)
    if not probes:
        raise Retryable("the load ended before the first probe; give it more --seconds")
    return probes


def _probe(meter: Meter, lookouts: list[Lookout]) -> None:
    with meter.run(account_id=_ACCOUNT, user_id="probe", workflow_id="freshness") as run:
        with run.node("answer", node_type="ai") as node:
            node.ai(provider="openai", model="gpt-4o-mini", input_tokens=812, output_tokens=64)
            ended = time.monotonic()
        for lookout in lookouts:
            lookout.expect(run.run_id, ended)


def _await_probes(lookouts: list[Lookout], services: list[Child]) -> None:
    def arrived() -> bool:
        require_alive(*services)
        for lookout in lookouts:
            if lookout.failure is not None:
                raise lookout.failure
        return not any(lookout.waiting for lookout in lookouts)

    if not wait_until(arrived, PATIENCE_SECONDS):
        missing = {lookout.table: len(lookout.waiting) for lookout in lookouts}
        raise Retryable(f"probes that do not show up: {missing}; look at {services[0].spec.log}")


def _milliseconds(seconds: list[float]) -> Sample:
    return Sample("ms", tuple(1000 * one for one in seconds))
