"""From rounds to samples and ratios. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from bench.harness import Sample, pair_ratios
from bench.sink.rounds import Round

# What the sink is held against.
OPPONENTS = (
    "limit",
    "usual",
    "usual_fastavro",
    "best_python_peer",
    "kafka_engine",
)


def samples(rounds: Mapping[str, Sequence[Round]]) -> dict[str, Sample]:
    """Rate, CPU of client and server, start-up and parts of every path."""
    found: dict[str, Sample] = {}
    for name, those in rounds.items():
        found[name] = Sample("rows/s", tuple(one.rate for one in those))
        found[f"{name}_client_cpu"] = Sample("us/row", tuple(1e6 * one.client_cpu / one.events for one in those))
        found[f"{name}_server_cpu"] = Sample("us/row", tuple(1e6 * one.server_cpu / one.events for one in those))
        found[f"{name}_parts"] = Sample("parts", tuple(float(one.parts) for one in those))
        if any(one.startup for one in those):
            found[f"{name}_startup"] = Sample("s", tuple(one.startup for one in those))
    return found


def ratios(rounds: Mapping[str, Sequence[Round]]) -> dict[str, tuple[float, ...]]:
    """This sink's rows per second, and per CPU second of client and server, over the other path's: more is better."""
    found: dict[str, tuple[float, ...]] = {}
    own = rounds["sink"]
    for path in OPPONENTS:
        if path in rounds:
            found[f"wall_vs_{path}"] = pair_ratios([one.rate for one in own], [one.rate for one in rounds[path]])
            found[f"cpu_vs_{path}"] = pair_ratios([one.cpu for one in rounds[path]], [one.cpu for one in own])
    return found


def rate(rounds: Sequence[Round]) -> float:
    """The median of rows per second."""
    return median(one.rate for one in rounds)


def best(trials: Mapping[str, Round]) -> str | None:
    """The quickest of the trials; None without any."""
    return min(trials, key=lambda name: trials[name].seconds) if trials else None


def scaling_ratios(taken: Mapping[int, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    """The rate of several sinks over that of one."""
    one = taken[1]
    return {f"scaling_{sinks}_vs_1": pair_ratios(one, those) for sinks, those in taken.items() if sinks > 1}
