"""The rounds of the SDK's benchmark: the paths in turns, each round gives one ratio of each pair."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice

from bench.harness import Sample, pair_ratios, percentile
from bench.sdk import encoding, nodes
from bench.sdk.nodes import Broker, Burst
from taximeter_infra.simulate.generator import events
from taximeter_infra.simulate.plan import SimulationPlan


@dataclass(frozen=True)
class Wish:
    """How much to measure."""

    rounds: int = 15
    bursts: int = 25  # of each path in a round
    burst: int = 200  # nodes in a row
    pause: float = 0.02  # seconds after each burst
    encoded: int = 4_000  # events


QUICK = Wish(rounds=2, bursts=2, burst=50, encoded=200)

# As many events as the emitter's worker encodes at a time.
_BATCH = 200
_REPEATS = 5

Found = dict[str, list[float]]


def measure_nodes(broker: Broker, wish: Wish, say: Callable[[str], None]) -> Found:
    """Microseconds at the median and at the 99th percentile of each round, by path."""
    found: Found = {f"{path}_{at}": [] for path in ("node", "otel", "serializer") for at in ("p50", "p99")}
    with ExitStack() as stack:
        paths: dict[str, Burst] = {
            "node": stack.enter_context(nodes.metered(broker)),
            "otel": stack.enter_context(nodes.traced()),
            "serializer": stack.enter_context(nodes.serialised(broker)),
        }
        for burst in paths.values():
            _burst_all(burst, wish)
        for number in range(wish.rounds):
            say(f"nodes, round {number + 1} of {wish.rounds}")
            for name, burst in paths.items():
                taken = _burst_all(burst, wish)
                for at in (50, 99):
                    found[f"{name}_p{at}"].append(percentile(taken, at) / 1_000)
    return found


def _burst_all(burst: Burst, wish: Wish) -> list[int]:
    taken: list[int] = []
    for _ in range(wish.bursts):
        taken += burst(wish.burst)
        time.sleep(wish.pause)
    return taken


def measure_encoding(wish: Wish, say: Callable[[str], None]) -> Found:
    """CPU microseconds for an event, by path."""
    say("encoding")
    plan = SimulationPlan(wish.encoded, seed=17)
    made = encoding.plain(islice(events(plan), wish.encoded))
    batches = [made[start : start + _BATCH] for start in range(0, len(made), _BATCH)]
    encoder = encoding.encoder()
    encoding.check(made, encoder)
    paths: dict[str, Callable[[list[encoding.Plain]], float]] = {
        "encode": lambda batch: encoding.ours(batch, encoder),
        "fastavro": encoding.fastavros,
    }
    found: Found = {name: [] for name in paths}
    for _ in range(2 * wish.rounds):
        for name, path in paths.items():
            seconds = sum(path(batch) for batch in batches for _ in range(_REPEATS))
            found[name].append(seconds / _REPEATS / len(made) * 1e6)
    return found


def samples(found: Mapping[str, list[float]]) -> dict[str, Sample]:
    """What was measured, each with its unit."""
    return {
        name: Sample("CPU µs/event" if name in ("encode", "fastavro") else "µs/node", tuple(values))
        for name, values in found.items()
    }


def ratios(found: Mapping[str, list[float]]) -> dict[str, tuple[float, ...]]:
    """Of a node: its time over the other's, so less is better. Of encoding: events per CPU-second over fastavro's."""
    return {
        "node_p50_vs_otel": pair_ratios(found["node_p50"], found["otel_p50"]),
        "node_p99_vs_otel": pair_ratios(found["node_p99"], found["otel_p99"]),
        "node_p50_vs_serializer": pair_ratios(found["node_p50"], found["serializer_p50"]),
        "node_p99_vs_serializer": pair_ratios(found["node_p99"], found["serializer_p99"]),
        "encode_vs_fastavro": pair_ratios(found["fastavro"], found["encode"]),
    }
