"""The quota service as a process: opens what it needs, runs the loop, opens it again when the way to Kafka breaks.

One process is one member of the group. Everything that a membership made ends with it, but nothing that was decided is
lost by that: the log has it.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from taximeter_consumers.kafka_client import partitions_of
from taximeter_consumers.quota.service import clients
from taximeter_consumers.quota.service.checkpoint import Checkpointer
from taximeter_consumers.quota.service.counters import QuotaCounters
from taximeter_consumers.quota.service.loads import Loads
from taximeter_consumers.quota.service.loop import Loop
from taximeter_consumers.quota.service.membership import Membership, leave_group
from taximeter_consumers.quota.service.parts import Parts
from taximeter_consumers.quota.service.promise import require_transactions
from taximeter_consumers.quota.service.quoting import Quoting
from taximeter_consumers.quota.service.replies import Replies
from taximeter_consumers.quota.service.restore import Site
from taximeter_consumers.quota.service.restorer import Restorer
from taximeter_consumers.quota.service.ticks import Ticks
from taximeter_consumers.sink.writers import Patience
from taximeter_schemas.errors import Fenced, Misconfigured, Retryable

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from taximeter_consumers.quota.service.settings import QuotaSettings
    from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

_log = structlog.get_logger()
# A membership that lasted this long was sound: what ends it is a new trouble.
_STEADY_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 3.0
_CREATE: Final = "create the topics with `taximeter topics create`"


@dataclass(frozen=True)
class QuotaEnvironment:
    """All that the service talks to."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    topics: TopicSettings


def run_service(
    environment: QuotaEnvironment,
    settings: QuotaSettings,
    stop: threading.Event,
    *,
    until_caught_up: bool = False,
    counters: QuotaCounters | None = None,
) -> QuotaCounters:
    """Runs until `stop` is set or, if asked, until all that lies in the log is decided; counts in `counters`. Raises
    Misconfigured.

    A broken connection to Kafka, or a membership that the group has ended, is opened anew after a pause, for as long
    as it takes. ClickHouse may be away at any time.
    """
    patience, jitter, attempt = Patience(base=0.2, most=10.0), random.Random(), 0  # noqa: S311 - jitter is no secret
    counters = counters or QuotaCounters()
    while not stop.is_set():
        began = time.monotonic()
        try:
            with ExitStack() as opened:
                parts = _open(environment, settings, counters, opened)
                counters.memberships += 1
                try:
                    Loop(parts, settings, counters).run(stop, until_caught_up=until_caught_up)
                finally:
                    # Before anything else is waited for: others take the partitions over at once.
                    parts.membership.leave()
        except (Retryable, Fenced) as error:
            attempt = 1 if time.monotonic() - began > _STEADY_SECONDS else attempt + 1
            _log.warning("joining the group anew", attempt=attempt, error=str(error))
            stop.wait(patience.delay(attempt, jitter))
        else:
            break
    return counters


def _open(environment: QuotaEnvironment, settings: QuotaSettings, counters: QuotaCounters, opened: ExitStack) -> Parts:
    """What a membership needs; closed in the reverse order. Raises Retryable or Misconfigured."""
    kafka, topics = environment.kafka, environment.topics
    consumer = clients.member(kafka, settings)
    opened.callback(leave_group, consumer)
    commands, answers = _partitions(consumer, kafka, topics)
    if not counters.memberships:
        require_transactions(kafka, topics, settings.group_id)
    transactional_id = f"{settings.group_id}-{secrets.token_hex(8)}"
    replies = Replies(kafka, topics, (commands, answers), counters)
    opened.callback(replies.close, _CLOSE_SECONDS)
    checkpointer = Checkpointer(kafka, topics, transactional_id)
    opened.callback(checkpointer.close, settings.stop_timeout_seconds)
    restorer = Restorer(Site(kafka, topics, settings.group_id, commands, settings.restore_timeout_seconds))
    opened.callback(restorer.close)
    ticks = Ticks(kafka, environment.clickhouse, topics.events, settings, replies, counters)
    opened.callback(ticks.close, _CLOSE_SECONDS)
    loads = Loads(environment.clickhouse, settings, replies, counters, lambda: ticks.complete_until)
    opened.callback(loads.close, _CLOSE_SECONDS)
    quoting = Quoting(environment.clickhouse, settings, replies, counters)
    opened.callback(quoting.close, _CLOSE_SECONDS)
    membership = Membership(consumer, topics.quota_commands, restorer)
    return Parts(commands, membership, restorer, checkpointer, replies, loads, ticks, quoting)


def _partitions(consumer: Consumer, kafka: KafkaSettings, topics: TopicSettings) -> tuple[int, int]:
    """How many the commands and the answers have. Raises Retryable, or Misconfigured where they do not fit."""
    commands, state, answers, _ = (
        len(partitions_of(consumer, kafka, topic, mend=_CREATE))
        for topic in (topics.quota_commands, topics.quota_state, topics.quota_answers, topics.alerts)
    )
    if commands != state:
        raise Misconfigured(
            f"{topics.quota_commands} has {commands} partitions and {topics.quota_state} has {state}: the state of a"
            " partition lies in the partition of the same number",
            mend="let nobody ask, delete both topics and create them anew with `taximeter topics create`",
        )
    return commands, answers
