"""What the API says of itself to Prometheus: a closed list, in a registry of its own.

Labels are of closed sets, too: a route is its template and never what was asked of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from taximeter_consumers.api.reads.known_calls import ESTIMATED, STATES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taximeter_consumers.api.readiness import Verdict

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One of them per application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # Answers that were begun, by route template, method and status.
        self.requests = Counter(
            "taximeter_api_requests", "Requests", ("route", "method", "status"), registry=self.registry
        )
        # From the request's first byte to the answer's last one.
        self.seconds = Histogram(
            "taximeter_api_request_seconds", "Duration", ("route",), buckets=_BUCKETS, registry=self.registry
        )
        # Requests that are being worked on.
        self.in_flight = Gauge("taximeter_api_requests_in_flight", "Requests in flight", registry=self.registry)
        # Callers without a valid key.
        self.refused_keys = Counter(
            "taximeter_api_refused_keys", "Requests without a valid key", registry=self.registry
        )
        # Bytes of exports.
        self.exported_bytes = Counter("taximeter_api_exported_bytes", "Bytes of exports", registry=self.registry)
        # Streams that are open, and those whose readers took nothing for too long.
        self.streams = Gauge("taximeter_api_streams", "Open streams", registry=self.registry)
        self.dropped_streams = Counter(
            "taximeter_api_dropped_streams", "Streams dropped for a slow reader", registry=self.registry
        )
        # What readiness saw last; not a number where it could not look.
        self.ready = Gauge("taximeter_api_ready", "1 where the API is ready", registry=self.registry)
        self.rollup_lag = Gauge(
            "taximeter_rollup_lag_seconds", "Age of the oldest batch not rolled up", registry=self.registry
        )
        self.unread = Gauge(
            "taximeter_sink_unread_records", "Records in Kafka that no sink has committed", registry=self.registry
        )
        self.last_stored = Gauge(
            "taximeter_sink_last_stored_seconds", "Seconds since the last batch was stored", registry=self.registry
        )
        # Calls of models in the last 24 hours, over all accounts, each in one state; and how many of them are guesses.
        self.calls = Gauge(
            "taximeter_ai_calls_last_day", "Calls by how their cost is known", ("state",), registry=self.registry
        )
        self.estimated_calls = Gauge(
            "taximeter_ai_calls_estimated_last_day", "Calls whose use was estimated", registry=self.registry
        )

    def saw(self, verdict: Verdict) -> None:
        """What readiness saw."""
        facts = verdict.facts
        self.ready.set(int(verdict.is_ready))
        self.rollup_lag.set(_or_nan(facts.rollup_lag_seconds))
        self.unread.set(_or_nan(facts.unread.records if facts.unread else None))
        self.last_stored.set(_or_nan(facts.last_stored_seconds))

    def saw_calls(self, calls: Mapping[str, int] | None) -> None:
        """How far the cost of calls is known; None where nobody could look."""
        for state in STATES:
            self.calls.labels(state).set(_or_nan(calls[state] if calls else None))
        self.estimated_calls.set(_or_nan(calls[ESTIMATED] if calls else None))

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
