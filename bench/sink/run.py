"""All measurements of the sink on one stack, in order: rounds of every path, latency, scaling, memory."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.harness import Sample
from bench.sink import backlog as filling
from bench.sink import engine, latency, memory, peers, registry, rounds, scaling, summary
from bench.sink.rounds import Backlog, Round
from taximeter_consumers.clickhouse import connect
from taximeter_schemas.errors import Retryable
from taximeter_schemas.settings import ClickHouseSettings

if TYPE_CHECKING:
    from taximeter_infra.stack.plan import StackAddresses

Say = Callable[[str], None]
_SCALING_ROUNDS = 3


@dataclass(frozen=True)
class Wish:
    """What to measure. `shares` of the sink's own rate are the loads of the latency windows, `window` their seconds.

    `events` are the backlog of the limit and of the sink, `peer_events` that of all others, which are ten times slower.
    """

    events: int = 1_000_000
    peer_events: int = 200_000
    rounds: int = 5
    partitions: int = 12
    shares: tuple[float, ...] = (0.0, 0.1, 0.5, 0.9)
    window: float = 10.0
    sinks: tuple[int, ...] = (1, 2, 4)
    backlogs: tuple[int, ...] = (1_000_000,)
    make_peers: bool = True


@dataclass
class Findings:
    """What the report is made of. `reasons`: a ratio that could not be measured, and why."""

    samples: dict[str, Sample] = field(default_factory=dict)
    ratios: dict[str, tuple[float, ...]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def measure(addresses: StackAddresses, wish: Wish, say: Say) -> Findings:
    """Everything. Raises Retryable when a path fails or stores anything but the rows that it should."""
    found = Findings()
    with registry.serve() as registry_url, tempfile.TemporaryDirectory(prefix="taximeter-bench-") as folder:
        file, mark = Path(folder) / "limit.avro", secrets.token_hex(3)

        def planned(mark: str, events: int) -> Backlog:
            topics = filling.topics_of(addresses, f"bench.{mark}.backlog", wish.partitions)
            return Backlog(addresses, topics, registry_url, file, filling.Expected(events, 0), mark)

        of_peers = _filled(planned(f"{mark}_peers", wish.peer_events), say)
        backlog = _filled(planned(mark, wish.events), say)
        say("a round of the sink to warm up")
        rounds.sink_round(backlog, "warm_sink")
        ways = _ways(backlog, of_peers, wish, found, say)
        rate = _compare(ways, wish, found, say)
        _latency(backlog, wish, rate, found, say)
        messages = list(filling.read(filling.kafka_of(addresses), backlog.topics.events, wish.events))
        _scaling(backlog, messages, wish, found, say)
        _memory(backlog, messages, wish, found, say)
    return found


def _filled(planned: Backlog, say: Say) -> Backlog:
    """As many events as are planned in Kafka and in the limit's file, and what must be stored of them."""
    addresses, topics, events = planned.addresses, planned.topics, planned.expected.events
    say(f"putting {events:,} events into Kafka")
    filling.fill(f"bench_{planned.mark}_fill", addresses, topics, events)
    expected = filling.write_limit_file(planned.file, addresses, topics.events)
    if expected.events != events:
        raise Retryable(f"{expected.events} of {events} events are in the topic")
    backlog = replace(planned, expected=expected)
    say("a round of the limit, which all others are held against")
    return replace(backlog, expected=replace(expected, digest=rounds.limit_round(backlog, "warm_limit").digest))


def _ways(backlog: Backlog, of_peers: Backlog, wish: Wish, found: Findings, say: Say) -> dict[str, rounds.Way]:
    """The paths of the rounds, in order; what cannot run gets its reason."""
    interpreters, missing = peers.interpreters(say, make=wish.make_peers)
    ways = rounds.paths(backlog, of_peers, interpreters)
    settings = ClickHouseSettings(url=backlog.addresses.clickhouse_url, database="default")
    clickhouse = connect(settings)
    problem = engine.unavailable(clickhouse)
    clickhouse.close()
    if problem is not None:
        del ways["kafka_engine"]
        _refuse(found, "kafka_engine", problem)
    trials: dict[str, Round] = {}
    for peer in interpreters:
        say(f"a round of {peer} to see which peer is the better")
        way = ways.pop(peer)
        trials[peer] = way(f"trial_{peer}")
        found.samples[f"trial_of_{peer}"] = Sample("rows/s", (trials[peer].rate,))
        ways[peer] = way
    chosen = summary.best(trials)
    for peer in interpreters:
        way = ways.pop(peer)
        if peer == chosen:
            say(f"the better peer is {peer}")
            ways["best_python_peer"] = way
    if chosen is None:
        _refuse(found, "best_python_peer", "; ".join(missing.values()))
    return ways


def _compare(ways: Mapping[str, rounds.Way], wish: Wish, found: Findings, say: Say) -> float:
    """Rounds in turns; the sink's rate."""
    taken: dict[str, list[Round]] = {name: [] for name in ways}
    for number in range(1, wish.rounds + 1):
        say(f"round {number} of {wish.rounds}")
        for name, way in ways.items():
            one = way(f"{name}_{number}")
            taken[name].append(one)
            say(f"  {name}: {one.rate:,.0f} rows/s")
    found.samples |= summary.samples(taken)
    found.ratios |= summary.ratios(taken)
    return summary.rate(taken["sink"])


def _latency(backlog: Backlog, wish: Wish, rate: float, found: Findings, say: Say) -> None:
    for share in wish.shares:
        name = f"load_{round(100 * share)}"
        say(f"latency at {share:.0%} of {rate:,.0f} events/s")
        found.samples |= latency.samples(name, latency.measure(backlog, name, share * rate, wish.window))


def _scaling(backlog: Backlog, messages: list[filling.Message], wish: Wish, found: Findings, say: Say) -> None:
    taken: dict[int, list[float]] = {sinks: [] for sinks in wish.sinks}
    for number in range(1, min(wish.rounds, _SCALING_ROUNDS) + 1):
        for sinks, those in taken.items():
            say(f"{sinks} sinks, round {number}")
            those.append(scaling.seconds(backlog, messages, f"sinks_{sinks}_{number}", sinks))
    for sinks, those in taken.items():
        found.samples[f"sinks_{sinks}"] = Sample("rows/s", tuple(wish.events / one for one in those))
    found.ratios |= summary.scaling_ratios(taken)


def _memory(backlog: Backlog, messages: list[filling.Message], wish: Wish, found: Findings, say: Say) -> None:
    peaks: dict[int, float] = {}
    for events in wish.backlogs:
        say(f"memory under a backlog of {events:,} events")
        peak = memory.measure(backlog, messages, f"memory_{events}", events)
        peaks[events] = peak.mebibytes
        found.samples[f"peak_memory_of_{events}"] = Sample("MiB", (peak.mebibytes,))
        found.samples[f"rate_of_{events}"] = Sample("rows/s", (peak.rate,))
    shortest, *longer = wish.backlogs
    for events in longer:
        found.ratios[f"peak_memory_{events}_vs_{shortest}"] = (peaks[events] / peaks[shortest],)


def _refuse(found: Findings, path: str, reason: str) -> None:
    for measure_of in ("wall", "cpu"):
        found.reasons[f"{measure_of}_vs_{path}"] = reason
