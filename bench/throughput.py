"""How fast a backlog goes from Kafka into ClickHouse, and into the rollups.

One backlog is read again and again, each time by a fresh sink process with a group and a database of its own, in turns:
nothing to do, sink alone, sink with an aggregator that runs already. The clock starts with the sink's process; how much
of it is start-up (until the group has given it the partitions) is told apart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bench.harness import Sample, pair_ratios
from bench.process import Use, Watch, await_settled
from bench.sites import BEAT_SECONDS, PATIENCE_SECONDS, Site, bench_topics, open_site, require_alive
from taximeter_consumers.rollups.lag import rollup_lag_seconds
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_infra.stack.child import Child
    from taximeter_infra.stack.plan import StackAddresses
    from taximeter_schemas.settings import TopicSettings

# Short against the rounds, so that the wait between two ticks weighs little in them.
TICK_SECONDS = 0.25
_FIRST_AND_LAST = """
SELECT toUnixTimestamp64Micro(min(stored_at)) / 1e6, toUnixTimestamp64Micro(max(stored_at)) / 1e6,
       argMin(records, (stored_at, kafka_partition)), count()
FROM ingest_batches
"""


@dataclass(frozen=True)
class Round:
    """One way of the backlog through the sink. Times are seconds since the start of the sink's process.

    `ready`: it has its partitions; `first` and `last`: a batch is stored; `done`: everything is stored, or visible in
    the rollups. `later_records` are those of all batches but the first.
    """

    ready: float
    first: float
    last: float
    done: float
    later_records: int
    use: Use

    @property
    def later_rate(self) -> float | None:
        """Events per second from the first to the last stored batch; None of a single batch."""
        return self.later_records / (self.last - self.first) if self.last > self.first else None


@dataclass(frozen=True)
class Pair:
    """Three rounds in a row: the sink with nothing to read, alone, and with rollups."""

    idle: Use
    alone: Round
    rolled_up: Round


def measure(
    addresses: StackAddresses, events: int, pairs: int, say: Callable[[str], None]
) -> tuple[dict[str, Sample], dict[str, tuple[float, ...]]]:
    """Fills the backlog, runs the rounds; returns samples and ratios. Raises Retryable when something goes wrong."""
    empty, backlog = bench_topics("empty", addresses), bench_topics("backlog", addresses)
    say(f"putting {events:,} events into Kafka")
    with open_site("bench_fill", addresses, backlog) as site:
        _finish(site.start("simulate", "--events", str(events), "--seed", "11"))
    say("one round to warm up")
    idle_round("bench_warm", addresses, empty)
    rounds = []
    for number in range(1, pairs + 1):
        say(f"pair {number} of {pairs}")
        idle = idle_round(f"bench_idle_{number}", addresses, empty)
        with open_site(f"bench_alone_{number}", addresses, backlog) as site:
            alone = _round(site, events, _stored)
        with open_site(f"bench_rollups_{number}", addresses, backlog) as site:
            aggregate = site.start("aggregate", "--follow", "--interval", str(TICK_SECONDS))
            await_settled(aggregate)
            rolled_up = _round(site, events, _visible, aggregate)
        rounds.append(Pair(idle, alone, rolled_up))
    return samples(rounds, events), ratios(rounds)


def samples(pairs: list[Pair], events: int) -> dict[str, Sample]:
    """Every sample of the rounds, by name."""
    found: dict[str, Sample] = {}
    for name, rounds in (
        ("sink_alone", [pair.alone for pair in pairs]),
        ("sink_and_rollups", [pair.rolled_up for pair in pairs]),
    ):
        found[name] = _sample("events/s", [events / one.done for one in rounds])
        found[f"{name}_after_startup"] = _sample("events/s", [events / (one.done - one.ready) for one in rounds])
        later = [one.later_rate for one in rounds if one.later_rate is not None]
        if later:
            found[f"{name}_first_to_last_batch_stored"] = _sample("events/s", later)
        found[f"{name}_seconds"] = _sample("s", [one.done for one in rounds])
        found[f"{name}_startup"] = _sample("s", [one.ready for one in rounds])
    scale = 100_000 / events
    cpu = [pair.alone.use.cpu_seconds for pair in pairs]
    idle = [pair.idle.cpu_seconds for pair in pairs]
    found["sink_cpu_startup"] = _sample("CPU s", idle)
    found["sink_cpu_per_100k_rows"] = _sample("CPU s", [scale * one for one in cpu])
    found["sink_cpu_per_100k_rows_without_startup"] = _sample(
        "CPU s", [scale * (one - none) for one, none in zip(cpu, idle, strict=True)]
    )
    found["sink_peak_memory"] = _sample("MiB", [pair.alone.use.peak_bytes / 2**20 for pair in pairs])
    found["sink_peak_memory_idle"] = _sample("MiB", [pair.idle.peak_bytes / 2**20 for pair in pairs])
    return found


def ratios(pairs: list[Pair]) -> dict[str, tuple[float, ...]]:
    """Events per second with rollups over events per second of the sink alone, with start-up and without."""
    alone, rolled_up = [pair.alone for pair in pairs], [pair.rolled_up for pair in pairs]
    return {
        "rollups_vs_sink_alone": pair_ratios([one.done for one in alone], [one.done for one in rolled_up]),
        "rollups_vs_sink_alone_after_startup": pair_ratios(
            [one.done - one.ready for one in alone], [one.done - one.ready for one in rolled_up]
        ),
    }


def idle_round(name: str, addresses: StackAddresses, empty: TopicSettings) -> Use:
    """What a sink uses that finds nothing to do: its start-up and its end."""
    with open_site(name, addresses, empty) as site:
        return _finish(site.start("sink", "--until-caught-up", "--group", name))


def ready_at(log: str) -> float:
    """When the group gave the sink its partitions, Unix seconds, by the sink's log. Raises Retryable if never."""
    for line in log.splitlines():
        if line.startswith("{") and (said := json.loads(line)).get("event") == "partitions assigned":
            return datetime.fromisoformat(said["timestamp"]).timestamp()
    raise Retryable("the sink's log does not say when it got its partitions")


def _round(site: Site, events: int, done: Callable[[Site, int], bool], *others: Child) -> Round:
    began, clock = time.time(), time.monotonic()
    sink = site.start("sink", "--until-caught-up", "--group", site.name)
    watch = Watch(sink)
    while not done(site, events):
        watch.look()
        require_alive(sink, *others)
        if time.monotonic() - clock > PATIENCE_SECONDS:
            raise Retryable(f"after {PATIENCE_SECONDS:.0f} s {site.stored()} of {events} events are stored")
        time.sleep(BEAT_SECONDS)
    seconds = time.monotonic() - clock
    use = _finish(sink, watch)
    counted = site.clickhouse.scalar("SELECT count() FROM events")
    if counted != events:
        raise Retryable(f"{counted} of {events} events are stored: this measurement is worth nothing")
    first, last, records, batches = site.clickhouse.rows(_FIRST_AND_LAST)[0]
    ready = ready_at(sink.spec.log.read_text(encoding="utf-8"))
    later = events - records if batches > 1 else 0
    return Round(ready - began, first - began, last - began, seconds, later, use)


def _stored(site: Site, events: int) -> bool:
    return site.stored() == events


def _visible(site: Site, events: int) -> bool:
    if not _stored(site, events) or rollup_lag_seconds(site.clickhouse) > 0:
        return False
    return int(site.clickhouse.scalar("SELECT sum(events) FROM usage_by_subject")) == events


def _finish(child: Child, watch: Watch | None = None) -> Use:
    """Waits for the child's own end, looking at it all the while. Raises Retryable if it fails."""
    watched = watch or Watch(child)

    def ended() -> bool:
        watched.look()
        return child.exit_code is not None

    if not wait_until(ended, PATIENCE_SECONDS):
        raise Retryable(f"{child.spec.name} does not end; look at {child.spec.log}")
    require_alive(child)
    return watched.use


def _sample(unit: str, values: list[float]) -> Sample:
    return Sample(unit, tuple(values))
