"""`python -m bench.quota`: a check in-process, a reservation against one round trip and against Redis, overdrawing."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from bench.command import Stage, carry_out, rounds_of
from bench.harness import Report, Sample, pair_ratios, percentile, significant
from bench.quota import checks, redis, reservations
from bench.quota.round_trip import RoundTrip, round_trips
from bench.quota.service import LIMITS, METER, Serving, serve
from taximeter.quota import QuotaClient, QuotaGate

_AMOUNT = 7
Found = dict[str, list[float]]


@dataclass(frozen=True)
class Wish:
    """How much to measure."""

    rounds: int = 15
    each: int = 200  # of each path in a round
    checks: int = 50_000  # by each thread, in a round
    callers: int = 64


QUICK = Wish(rounds=2, each=20, checks=1_000, callers=8)


@dataclass(frozen=True)
class QuotaReport(Report):
    """With the figures that are asked for by name at the top."""

    def as_json(self) -> dict[str, Any]:
        """`check_p99_us` (the worse of one thread and four), `reserve_p99_vs_roundtrip`, `overshoot`."""
        told = super().as_json()
        worse = max(median(self.samples[name].values) for name in ("check_p99", "check_4_threads_p99"))
        return {
            **told,
            "check_p99_us": significant(worse),
            "reserve_p99_vs_roundtrip": told["ratios"]["reserve_p99_vs_roundtrip"],
            "overshoot": int(max(self.samples["overshoot"].values)),
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Measures what the options ask for; returns the exit code."""
    options = parse(sys.argv[1:] if argv is None else argv)
    wish = wish_of(options)

    def measured(stage: Stage) -> Report:
        found: Found = defaultdict(list)
        with ExitStack() as held:
            stage.say("starting the quota service")
            serving = held.enter_context(serve(stage.addresses))
            port = held.enter_context(redis.serve(stage.addresses.data_dir)) if redis.installed() else None
            measure(serving, port, wish, found, stage.say)
        used = {**stage.versions, **({"Redis": redis.version()} if port else {})}
        reasons = {} if port else {"reserve_p99_vs_redis": redis.MISSING}
        return QuotaReport("quota", stage.host, used, command(wish), samples(found), ratios(found), reasons)

    return carry_out(measured, as_json=options.json)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options; ends the process with code 2 and the reason when they make no sense."""
    return rounds_of("quota", "Measure quotas on a stack of its own.", argv)


def wish_of(options: argparse.Namespace) -> Wish:
    """What the options ask for."""
    base = QUICK if options.quick else Wish()
    return replace(base, rounds=options.rounds or base.rounds)


def command(wish: Wish) -> str:
    """What to type to do the same again."""
    return f"python -m bench.quota --rounds {wish.rounds}{' --quick' if wish.each == QUICK.each else ''}"


def measure(serving: Serving, port: int | None, wish: Wish, found: Found, say: Callable[[str], None]) -> None:
    """All of it, in rounds; the overdrawing at the end."""
    with ExitStack() as held:
        client = held.enter_context(serving.client())
        gate = held.enter_context(QuotaGate(serving.client()))
        trip = held.enter_context(round_trips(serving.kafka))
        server = held.enter_context(closing(redis.Redis(port))) if port else None
        checks.open_gate(gate)
        reservations.reservations(client, wish.each)
        for number in range(wish.rounds):
            say(f"round {number + 1} of {wish.rounds}")
            _round(client, trip, server, wish, found)
            for threads, name in ((1, "check"), (4, "check_4_threads")):
                _note(found, name, [ns / 1e3 for ns in checks.checks(gate, threads, wish.checks)])
    say(f"{wish.callers} callers at once")
    found["overshoot"].append(reservations.overshoot(serving, wish.callers, _AMOUNT))
    if port:
        limit = LIMITS["bench-tight"]
        for number in range(3):
            found["redis_overshoot"].append(redis.overshoot(port, f"tight-{number}", wish.callers, limit, _AMOUNT))


def _round(client: QuotaClient, trip: RoundTrip, server: redis.Redis | None, wish: Wish, found: Found) -> None:
    """The paths in small turns, so that what else the machine does meets all of them."""
    taken: dict[str, list[float]] = defaultdict(list)
    for _ in range(wish.each // 10):
        taken["round_trip"] += [trip.once() for _ in range(10)]
        taken["reserve"] += reservations.reservations(client, 10)
        if server is not None:
            taken["redis"] += redis.spends(server, 10)
    for name, seconds in taken.items():
        _note(found, name, [one * 1e3 for one in seconds])


def _note(found: Found, name: str, values: list[float]) -> None:
    for at in (50, 99):
        found[f"{name}_p{at}"].append(percentile(values, at))


def samples(found: Found) -> dict[str, Sample]:
    """What was measured, each with its unit."""

    def unit(name: str) -> str:
        if name.endswith("overshoot"):
            return METER
        return "µs" if name.startswith("check") else "ms"

    return {name: Sample(unit(name), tuple(values)) for name, values in found.items()}


def ratios(found: Found) -> dict[str, tuple[float, ...]]:
    """Of a reservation: its time over the other's, so less is better."""
    pairs = {
        f"reserve_p{at}_vs_{to}": pair_ratios(found[f"reserve_p{at}"], found[f"{name}_p{at}"])
        for at in (50, 99)
        for name, to in (("round_trip", "roundtrip"), ("redis", "redis"))
        if found.get(f"{name}_p{at}")
    }
    return dict(pairs)


if __name__ == "__main__":
    sys.exit(main())
