"""What an aggregator says of itself to Prometheus: a closed list. Counted once for each tick."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from taximeter_consumers.rollups.lag import rollup_lag_seconds
from taximeter_schemas.errors import TaximeterError

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.rollups.tick import Tick

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_FRESH: Final = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 600.0, 3_600.0)
_LOOK_SECONDS: Final = 5.0
# Calls of the last day of names that no price fits, as `taximeter prices unmatched` lists them.
_UNMATCHED: Final = """
SELECT uniqExact(provider, model) FROM model_costs
WHERE unpriced_calls > 0 AND hour > now() - INTERVAL 1 DAY SETTINGS max_threads = 1
"""


class RollupMetrics:
    """One of them per process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # Ticks that had work.
        self.tick = Histogram(
            "taximeter_aggregator_tick_seconds", "Duration of a tick", buckets=_SECONDS, registry=self.registry
        )
        self.batches = Counter("taximeter_aggregator_batches", "Batches rolled up", registry=self.registry)
        self.records = Counter("taximeter_aggregator_records", "Records rolled up", registry=self.registry)
        self.repriced = Counter("taximeter_aggregator_repriced", "Events priced anew", registry=self.registry)
        self.matched = Counter("taximeter_aggregator_models_matched", "Names matched", registry=self.registry)
        self.failures = Counter("taximeter_aggregator_failures", "Ticks that failed", registry=self.registry)
        # From the arrival of a tick's first record in Kafka until it is in the rollups, by two clocks.
        self.freshness = Histogram(
            "taximeter_aggregator_freshness_seconds", "Event to rollup", buckets=_FRESH, registry=self.registry
        )
        # Looked at between ticks, every few seconds; not a number where it could not be.
        self.lag = Gauge(
            "taximeter_aggregator_lag_seconds", "Age of the oldest batch not rolled up", registry=self.registry
        )
        self.unmatched = Gauge(
            "taximeter_aggregator_models_without_price", "Models of the last day's calls", registry=self.registry
        )
        self._look_at = 0.0

    def ticked(self, clickhouse: ClickHouse, done: Tick, seconds: float) -> None:
        """A tick ended; it is asked how far behind the rollups are, unless that was asked just before."""
        if done.version is not None:
            self.tick.observe(seconds)
        self.batches.inc(done.batches)
        self.records.inc(done.records)
        self.repriced.inc(done.repriced)
        self.matched.inc(done.models_matched)
        if done.arrived_from is not None:
            self.freshness.observe(max(time.time() - done.arrived_from / 1000, 0.0))
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            self._look(clickhouse)

    def failed(self) -> None:
        """A tick failed: how far behind the rollups are is unknown until one ends."""
        self.failures.inc()
        self.lag.set(float("nan"))
        self._look_at = 0.0

    def _look(self, clickhouse: ClickHouse) -> None:
        try:
            self.lag.set(rollup_lag_seconds(clickhouse))
            self.unmatched.set(int(clickhouse.scalar(_UNMATCHED)))
        except TaximeterError:
            # The next tick says it.
            self.lag.set(float("nan"))
            self.unmatched.set(float("nan"))
