"""The sink as a process: it opens what it needs, runs the loop, and opens it again when the way to Kafka breaks."""

from __future__ import annotations

import random
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import KafkaException

from taximeter_consumers.clickhouse import connect
from taximeter_consumers.sink import garbage, group
from taximeter_consumers.sink.dead_letters import DeadLetterWriter
from taximeter_consumers.sink.flood import FloodGate
from taximeter_consumers.sink.ledger import Ledger
from taximeter_consumers.sink.log_identity import LogIdentity
from taximeter_consumers.sink.loop import Loop
from taximeter_consumers.sink.membership import Membership
from taximeter_consumers.sink.metrics import MeasuredStore, SinkMetrics
from taximeter_consumers.sink.writers import Patience, Writers
from taximeter_schemas.errors import Fenced, Retryable

if TYPE_CHECKING:
    from taximeter_consumers.sink.counters import SinkCounters
    from taximeter_consumers.sink.settings import SinkSettings
    from taximeter_schemas.registry import Registry
    from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

_log = structlog.get_logger()
# A membership that lasted this long was sound: what ends it is a new trouble.
_STEADY_SECONDS = 60.0


@dataclass(frozen=True)
class SinkEnvironment:
    """All that the sink talks to."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    registry: Registry
    topics: TopicSettings


def run_sink(
    environment: SinkEnvironment,
    settings: SinkSettings,
    stop: threading.Event,
    *,
    until_caught_up: bool = False,
    metrics: SinkMetrics | None = None,
) -> SinkCounters:
    """Runs until `stop` is set or, if asked, until the log's end is stored. Raises Misconfigured.

    A broken connection to Kafka, or a membership that the group has ended, is opened anew after a pause, for as long
    as it takes.
    """
    with garbage.swept_by_hand():
        return _memberships(environment, settings, stop, metrics or SinkMetrics(), until_caught_up=until_caught_up)


def _memberships(
    environment: SinkEnvironment,
    settings: SinkSettings,
    stop: threading.Event,
    metrics: SinkMetrics,
    *,
    until_caught_up: bool,
) -> SinkCounters:
    patience, jitter, attempt = Patience(base=0.5, most=15.0), random.Random(), 0  # noqa: S311 - jitter is no secret
    counters = metrics.counters
    while True:
        began = time.monotonic()
        try:
            _one_membership(environment, settings, stop, metrics, until_caught_up=until_caught_up)
        except (Retryable, Fenced) as error:
            attempt = 1 if time.monotonic() - began > _STEADY_SECONDS else attempt + 1
            _log.warning("joining the group anew", attempt=attempt, error=str(error))
            if stop.wait(patience.delay(attempt, jitter)):
                return counters
        else:
            return counters


def _one_membership(
    environment: SinkEnvironment,
    settings: SinkSettings,
    stop: threading.Event,
    metrics: SinkMetrics,
    *,
    until_caught_up: bool,
) -> None:
    counters = metrics.counters
    with (
        closing(connect(environment.clickhouse)) as clickhouse,
        closing(DeadLetterWriter(environment.kafka, environment.topics.dead_letters)) as dead_letters,
    ):
        topic = environment.topics.events
        identity = LogIdentity(environment.kafka, topic, seen=counters.memberships > 0)
        counters.memberships += 1
        ledger = Ledger(clickhouse, topic, identity.log)
        gate = FloodGate(settings.poison_rate, settings.poison_window)
        consumer = group.open_consumer(environment.kafka, settings)
        store = MeasuredStore(clickhouse, environment.registry, dead_letters, ledger)
        store.metrics = metrics
        writers = Writers(store, gate, settings.writers)
        try:
            membership = Membership(consumer, topic, identity, ledger.stored_to)
            Loop(membership, identity, writers, settings, counters).run(stop, until_caught_up=until_caught_up)
        finally:
            writers.close(settings.stop_timeout_seconds)
            with suppress(KafkaException, RuntimeError):
                consumer.close()
