"""Ticks on and on until told to stop: the aggregator as a service.

Every tick stands alone, so a stop between two ticks loses nothing, and ClickHouse being away only delays: the loop
waits, twice as long each time up to a bound, and tries the same again.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

import structlog

from taximeter_consumers.rollups.batches import Bounds
from taximeter_consumers.rollups.tick import tick
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    import threading

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.rollups.metrics import RollupMetrics

LONGEST_WAIT_SECONDS: Final = 60.0

log = structlog.get_logger("taximeter.aggregator")


def wait_after_failures(failures: int, interval: float) -> float:
    """Seconds to wait after that many failed ticks in a row: twice the last wait, within a bound."""
    return float(min(LONGEST_WAIT_SECONDS, max(interval, 0.1) * 2 ** min(failures, 10)))


def follow(
    clickhouse: ClickHouse,
    stop: threading.Event,
    interval: float = 1.0,
    bounds: Bounds | None = None,
    counted: RollupMetrics | None = None,
) -> None:
    """Ticks every `interval` seconds, at once while there is a backlog, until `stop` is set. One log line per tick
    that had work. Raises Misconfigured at once; Retryable never."""
    failures = 0
    while not stop.is_set():
        began = monotonic()
        try:
            done = tick(clickhouse, bounds, stop.is_set)
        except Retryable as error:
            failures += 1
            if counted is not None:
                counted.failed()
            wait = wait_after_failures(failures, interval)
            log.warning("tick failed", error=str(error), retry_in_seconds=wait)
            stop.wait(wait)
            continue
        failures = 0
        if counted is not None:
            counted.ticked(clickhouse, done, monotonic() - began)
        if done.version is None:
            stop.wait(interval)
            continue
        log.info(
            "rolled up",
            batches=done.batches,
            records=done.records,
            models_matched=done.models_matched,
            seconds=round(monotonic() - began, 3),
        )
