"""Looks at the registry, the tables and the topic. Reads only, joins no group, and may be broken off at any moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC
from typing import TYPE_CHECKING, Final, TypeVar

from taximeter_consumers.replay.topic_range import Span, TopicRange
from taximeter_consumers.replay.topic_reader import TopicReader
from taximeter_infra.evolving.facts import Arrivals, InRegistry, Tables, Unseen
from taximeter_schemas import frame
from taximeter_schemas.errors import Misconfigured, Poison, TaximeterError
from taximeter_schemas.registry_subject import open_subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_schemas.settings import KafkaSettings, RegistrySettings

T = TypeVar("T")

# On a cluster the rows lie in a database of their own beside the one that is asked.
_COLUMNS: Final = """
SELECT concat(database, '.', table), groupArray(name) FROM system.columns
WHERE table IN ('stored_events', 'trial_events')
  AND database IN ({database:String}, concat({database:String}, '_shard'))
GROUP BY database, table ORDER BY database, table
"""
_SINKS: Final = """
SELECT sink, max(stored_at) AS last FROM {database:Identifier}.stored_ingest_batches
WHERE stored_at > now() - INTERVAL 1 DAY GROUP BY sink ORDER BY last DESC LIMIT 100
"""


def in_registry(settings: RegistrySettings, text: str) -> InRegistry | None:
    """The subject, and what the registry thinks of this schema; None without a registry. Raises as it does."""
    subject = open_subject(settings)
    if subject is None:
        return None
    with closing(subject):
        return InRegistry(subject.name, subject.mode(), subject.versions(), subject.refusing(text))


def register_in(settings: RegistrySettings, text: str) -> int:
    """The id under which the registry keeps this schema. Raises Retryable or Misconfigured."""
    subject = open_subject(settings)
    if subject is None:
        raise Misconfigured("no registry is set", mend="set SCHEMA_REGISTRY_URL")
    with closing(subject):
        return subject.register(text)


def tables(clickhouse: ClickHouse, database: str) -> Tables:
    """The columns of the events, and the sinks of the last day. Raises Retryable or Misconfigured."""
    named = {"database": database}
    columns = {name: frozenset(found) for name, found in clickhouse.rows(_COLUMNS, named)}
    sinks = clickhouse.rows(_SINKS, named) if columns else []
    return Tables(columns, {sink: last.replace(tzinfo=UTC) for sink, last in sinks})


def arrivals(kafka: KafkaSettings, topic: str, records: int) -> Arrivals:
    """The last `records` of the topic, an equal share from each partition. Raises Retryable or Misconfigured."""
    with closing(TopicReader(kafka, topic)) as reader:
        spans = last_of(reader.spans(TopicRange()), records)
        counted = Counter(_schema_id(message.value()) for batch in reader.batches(spans) for message in batch)
    return Arrivals(topic, dict(counted))


def last_of(spans: Sequence[Span], records: int) -> list[Span]:
    """The ends of the spans, together about `records` offsets."""
    share = -(-records // max(len(spans), 1))
    return [Span(span.partition, max(span.first, span.end - share), span.end) for span in spans]


def attempt(look: Callable[[], T]) -> T | Unseen:
    """What a look saw, or why it saw nothing."""
    try:
        return look()
    except Misconfigured as error:
        return Unseen(error.problem, error.mend)
    except TaximeterError as error:
        return Unseen(str(error))


def _schema_id(value: bytes | None) -> int | None:
    try:
        return frame.split(value)[0]
    except Poison:
        return None
