"""The events of a plan: pure, lazy, and the same for the same plan.

Memory holds the runs that are under way at one simulated instant, never the whole simulation.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from random import Random

from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_infra.simulate.run_facts import draw_facts, rng_of_run
from taximeter_infra.simulate.run_script import run_events
from taximeter_schemas.event import MeterEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def events(plan: SimulationPlan) -> Iterator[MeterEvent]:
    """The plan's events in the order in which they occurred; the runs interleave."""
    rng = Random(f"{plan.salt}/runs")  # noqa: S311 - a simulation, not a secret
    sizes = run_sizes(plan.events, plan.run_count, rng)
    first = unix_micros(plan.first_instant)
    starts = sorted(first + rng.randrange(plan.span_us + 1) for _ in sizes)
    latest_run: dict[str, str] = {}
    under_way: list[tuple[datetime, int, int, MeterEvent]] = []
    for index, (started_us, size) in enumerate(zip(starts, sizes, strict=True)):
        while under_way and unix_micros(under_way[0][0]) <= started_us:
            yield heapq.heappop(under_way)[3]
        run_rng = rng_of_run(plan.salt, index)
        facts = draw_facts(run_rng, plan.accounts, started_us, latest_run)
        for step, event in enumerate(run_events(facts, size, run_rng)):
            heapq.heappush(under_way, (event.occurred_at, index, step, event))
    while under_way:
        yield heapq.heappop(under_way)[3]


def run_sizes(total: int, runs: int, rng: Random) -> Sequence[int]:
    """How many events each run has: at least one, unequal, `total` in all."""
    weights = [rng.lognormvariate(0.0, 0.6) for _ in range(runs)]
    scale = (total - runs) / sum(weights)
    sizes = [1 + int(weight * scale) for weight in weights]
    for _ in range(total - sum(sizes)):
        sizes[rng.randrange(runs)] += 1
    return sizes


def unix_micros(moment: datetime) -> int:
    """Unix time in microseconds, exact."""
    gap = moment - _EPOCH
    return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds
