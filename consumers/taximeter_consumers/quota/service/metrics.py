"""What a quota service says of itself to Prometheus: a closed list, read from its counters when somebody asks.

How things stand (lag, unsaved, holds, leases) is what its last line of numbers said, ten seconds ago at most; only the
age of facts is that of now, as it must grow while the service cannot join its group. Labels
are of closed sets; units of plugins have names of their own and stand in no label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from taximeter_consumers.quota.service.counters import QuotaCounters
from taximeter_schemas.quota.meters import METERS, ZERO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import Metric


class QuotaMetrics(Collector):
    """One of them per process, with a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.counters = QuotaCounters()
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """What the counters say now."""
        told = self.counters
        yield _by("commands", "Commands decided", "kind", told.kinds)
        yield _by("replies", "Answers", "status", told.replies)
        for name, what, value in (
            ("passed_by", "Records that were no commands", told.poison),
            ("unsent", "Answers that Kafka did not take", told.unsent),
            ("facts", "Facts sent", told.facts),
            ("unavailable", "Questions that ClickHouse did not answer in time", told.unavailable),
            ("alerts", "Thresholds reached", told.alerts),
            ("checkpoints", "Checkpoints written", told.checkpoints),
            ("checkpoint_seconds", "Time that they took", told.checkpoint_seconds),
            ("checkpoints_rolled_back", "Checkpoints tried again", told.aborted),
            ("waits", "Waits for checkpoints", told.waits),
            ("rebalances", "Rebalances of the group", told.rebalances),
            ("memberships", "How often the group was joined", told.memberships),
            ("missing", "Commands deleted before they were read", told.missing),
        ):
            yield CounterMetricFamily(f"taximeter_quota_{name}", what, value=value)
        for name, what, level in (
            ("partitions", "Partitions owned", told.partitions),
            ("lag_commands", "Commands not decided yet", told.lag),
            ("unsaved", "Decisions in no checkpoint", told.unsaved),
            ("parked", "Reservations that wait for facts", told.parked),
            ("holds", "Open holds", told.holds),
            ("leases", "Open leases", told.leases),
            ("facts_age_seconds", "Since ClickHouse last answered, or the start", told.facts_age_seconds),
            ("complete_age_seconds", "How far behind the rollups are", _or_nan(told.complete_age_seconds)),
        ):
            yield GaugeMetricFamily(f"taximeter_quota_{name}", what, value=level)
        # The bound on overshoot while nobody can be asked.
        leased = GaugeMetricFamily("taximeter_quota_leased", "Held by leases", labels=("meter",))
        for meter in METERS:
            leased.add_metric((meter,), float(told.leased.get(meter, ZERO)))
        yield leased


def _by(name: str, what: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"taximeter_quota_{name}", what, labels=(label,))
    # A copy: the loop may add a name meanwhile.
    for word, count in dict(counts).items():
        family.add_metric((word,), count)
    return family


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
