"""A tick: takes the batches that no tick has recorded, recomputes every rollup row they touch, records them last.

On a crash anywhere the batches stay unrecorded and the next tick repeats the whole, with the same result. On shutdown
nothing is held that could be lost. A tick over nothing new does nothing. Two aggregators at once do the work twice.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_consumers import failpoints
from taximeter_consumers.pricing.aliases import match_new_models, rematch_models
from taximeter_consumers.rollups.batches import (
    ROWS_OF_BATCHES,
    Batches,
    Bounds,
    batches_after,
    mark_rolled_up,
    new_batches,
)
from taximeter_consumers.rollups.definitions import ROLLUPS
from taximeter_consumers.rollups.recompute import begin, erase_older, recompute

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

# Two at once: each may hold up to half a gigabyte before it spills.
_AT_ONCE: Final = 2

__all__ = ["Bounds", "Rebuilt", "Tick", "rebuild", "tick"]


@dataclass(frozen=True)
class Tick:
    """What a tick did; `version` is None where nothing was new."""

    batches: int = 0
    records: int = 0
    models_matched: int = 0
    version: int | None = None


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild went through."""

    batches: int
    records: int


def tick(clickhouse: ClickHouse, bounds: Bounds | None = None) -> Tick:
    """Works in the oldest batches that are new, up to `bounds`. Raises Retryable when ClickHouse is away."""
    batches = new_batches(clickhouse, bounds or Bounds())
    return Tick() if batches is None else roll_up(clickhouse, batches)


def roll_up(clickhouse: ClickHouse, batches: Batches) -> Tick:
    """Recomputes what `batches` touch, and records them."""
    failpoints.reached("aggregate.before_match")
    matched = match_new_models(clickhouse, ROWS_OF_BATCHES, batches.parameters)
    failpoints.reached("aggregate.after_match")
    work = begin(clickhouse, batches)
    failpoints.reached("aggregate.after_begin")
    # They may run in any order. Most of a small recompute is planning, which the server does on one core.
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="rollup") as threads:
        list(threads.map(lambda rollup: recompute(clickhouse, rollup, work), ROLLUPS))
    failpoints.reached("aggregate.before_record")
    mark_rolled_up(clickhouse, batches, work.version)
    failpoints.reached("aggregate.after_record")
    return Tick(len(batches.rows), batches.records, matched, work.version)


def rebuild(clickhouse: ClickHouse, bounds: Bounds | None = None) -> Rebuilt:
    """Recomputes every rollup row from all batches of the ledger, in steps of `bounds`, with the price book of now.

    Rows that no event stands behind are emptied at the end. Broken off, it leaves right rows, some at old prices.
    """
    rematch_models(clickhouse)
    first_version, last = None, None
    batches, records = 0, 0
    while (step := batches_after(clickhouse, last, bounds or Bounds())) is not None:
        done = roll_up(clickhouse, step)
        first_version = first_version or done.version
        last = step.rows[-1]
        batches, records = batches + done.batches, records + done.records
    if first_version is not None:
        for rollup in ROLLUPS:
            erase_older(clickhouse, rollup, first_version)
    return Rebuilt(batches, records)
