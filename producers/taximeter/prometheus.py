"""A meter's counters for Prometheus, for hosts that use its client: `register(meter, registry)`.

Nothing else of the SDK imports this module, and it needs `prometheus-client`, which the SDK does not bring. Counters
are read when Prometheus asks; metering costs nothing more. A fork has its own counters, as it has its own registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry, Metric

    from taximeter.emitter.counters import Counters
    from taximeter.meter import Meter

_REASONS: Final = ("full", "closed", "invalid", "refused")
_COUNTS: Final = {
    "accepted": "Events taken over from the hooks",
    "produced": "Events handed to Kafka's client, repeats included",
    "acknowledged": "Events stored, says the broker",
    "failed": "Deliveries that failed",
    "retried": "Failed deliveries sent again",
    "shed": "Events that went without their debug-only texts, under pressure",
    "spilled": "Events moved to the disk spool",
    "drained": "Events sent from the disk spool",
    "unattributed": "Records made outside every run",
    "unreadable": "Providers' answers that could not be read",
    "hook_errors": "Mistakes in calls of the hooks",
}


class _MeterCollector(Collector):
    def __init__(self, counters: Callable[[], Counters]) -> None:
        self._counters = counters

    def describe(self) -> Iterator[Metric]:
        """The names, so that a registry sees two meters at one name."""
        yield GaugeMetricFamily("taximeter_meter_queue_events", "Events held in memory")

    def collect(self) -> Iterator[Metric]:
        """The counters of now."""
        told = self._counters()
        for name, what in _COUNTS.items():
            yield CounterMetricFamily(f"taximeter_meter_{name}", what, value=getattr(told, name))
        dropped = CounterMetricFamily("taximeter_meter_dropped", "Events dropped", labels=("reason",))
        for reason in _REASONS:
            dropped.add_metric((reason,), told.dropped.get(reason, 0))
        yield dropped
        yield GaugeMetricFamily("taximeter_meter_queue_events", "Events held in memory", value=told.queue_depth)


def register(meter: Meter, registry: CollectorRegistry = REGISTRY) -> Collector:
    """Adds a meter's counters to a registry, by default the process's own; returns what `registry.unregister` takes.

    Raises ValueError for a second meter in one registry."""
    collector = _MeterCollector(meter.counters)
    registry.register(collector)
    return collector
