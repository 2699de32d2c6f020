"""What a sink says of itself to Prometheus: a closed list. Counted once for each batch, never for a record.

Counts and how things stand are read from the sink's counters when somebody asks; the loop knows nothing of metrics.
Labels are of closed sets: partitions by number, reasons by the list of them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from taximeter_consumers.sink.counters import SinkCounters
from taximeter_consumers.sink.guards import REASONS
from taximeter_consumers.sink.store import Bad, Store
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from taximeter_consumers.sink.batch import Batch
    from taximeter_consumers.sink.bundle import Bundle

_ROWS: Final = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_AGES: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3_600.0)
_REASONS: Final = frozenset(REASONS) | {
    *("truncated", "trailing_bytes", "malformed", "unknown_schema", "not_framed", "too_short", "empty"),
    *("invalid", "refused", "unsupported_schema"),
}


class SinkMetrics(Collector):
    """One of them per process, with a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.counters = SinkCounters()
        self.registry.register(self)
        # Records of one INSERT.
        self.rows = Histogram("taximeter_sink_batch_rows", "Records per INSERT", buckets=_ROWS, registry=self.registry)
        # From the arrival of a batch's first record in Kafka until it is stored, by two clocks.
        self.age = Histogram(
            "taximeter_sink_batch_age_seconds", "Arrival to stored", buckets=_AGES, registry=self.registry
        )
        # One INSERT of a bundle, as ClickHouse took it.
        self.insert = Histogram(
            "taximeter_sink_insert_seconds", "Duration of an INSERT", buckets=_SECONDS, registry=self.registry
        )
        # Attempts that are made again: at the INSERT, or at dead letters and ledger.
        self.retries = Counter("taximeter_sink_retries", "Attempts that failed", ("step",), registry=self.registry)
        self.dead_letters = Counter(
            "taximeter_sink_dead_letters", "Records set aside", ("reason",), registry=self.registry
        )
        # All of them from the start: a series that begins with a burst has no increase, and fires nothing.
        for step in ("insert", "settle"):
            self.retries.labels(step)
        for reason in (*sorted(_REASONS), "other"):
            self.dead_letters.labels(reason)

    def stored(self, batches: Sequence[Batch], bad: Mapping[Batch, Bad]) -> None:
        """Batches are stored for good; `bad` has what of them was set aside."""
        now = time.time()
        for batch in batches:
            self.age.observe(max(now - batch.arrived_ms / 1000, 0.0))
            for poison in bad.get(batch, {}).values():
                self.dead_letters.labels(poison.reason if poison.reason in _REASONS else "other").inc()

    def collect(self) -> Iterator[Metric]:
        """What the counters say now."""
        told = self.counters
        for name, what, value in (
            ("records", "Records stored or set aside", told.records),
            ("batches", "Batches stored", told.batches),
            ("pauses", "How often a partition was paused", told.pauses),
            ("rebalances", "Rebalances of the group", told.rebalances),
            ("memberships", "How often the group was joined", told.memberships),
        ):
            yield CounterMetricFamily(f"taximeter_sink_{name}", what, value=value)
        for name, what, value in (
            ("paused_partitions", "Partitions not read: memory is full, or they are stopped", told.paused),
            ("stopped_partitions", "Partitions that a flood of bad records has stopped", told.stopped),
            ("held_bytes", "Memory of the records in hand", told.held_bytes),
        ):
            yield GaugeMetricFamily(f"taximeter_sink_{name}", what, value=value)
        records = GaugeMetricFamily("taximeter_sink_lag_records", "Not stored yet", labels=("partition",))
        seconds = GaugeMetricFamily("taximeter_sink_lag_seconds", "Age of the oldest in hand", labels=("partition",))
        for number, (lag, age) in told.lag.items():
            records.add_metric((str(number),), lag)
            seconds.add_metric((str(number),), age)
        yield records
        yield seconds


class MeasuredStore(Store):
    """A store that is measured from outside."""

    metrics: SinkMetrics

    def insert(self, bundle: Bundle, attempt: int = 1) -> Mapping[Batch, Bad]:
        """As in `Store`."""
        began = time.perf_counter()
        try:
            bad = super().insert(bundle, attempt)
        except Retryable:
            self.metrics.retries.labels("insert").inc()
            raise
        self.metrics.insert.observe(time.perf_counter() - began)
        self.metrics.rows.observe(bundle.records)
        return bad

    def settle(self, batches: Sequence[Batch], bad: Mapping[Batch, Bad], attempt: int = 1) -> None:
        """As in `Store`."""
        try:
            super().settle(batches, bad, attempt)
        except Retryable:
            self.metrics.retries.labels("settle").inc()
            raise
        self.metrics.stored(batches, bad)
