"""ClickHouse's own Kafka engine with a materialized view into the same table.

A consumer for each core with a thread of its own, large blocks, plain types read first; no other variant was tried.
It needs a registry for `AvroConfluent`. At least once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.sink import columns

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

_QUEUE, _VIEW = "bench_queue", "bench_queue_view"
# How the engine calls the coordinates of a message.
_COORDINATES = {
    "topic": "_topic",
    "partition": "_partition",
    "offset": "_offset",
    "arrived_ms": "toUnixTimestamp64Milli(assumeNotNull(_timestamp_ms))",
}


@dataclass(frozen=True)
class Queue:
    """What the engine's table reads, and where the schemas are."""

    bootstrap_servers: str
    registry_url: str
    topic: str
    group: str
    consumers: int


def unavailable(clickhouse: ClickHouse) -> str | None:
    """Why this server cannot run it; None where it can."""
    if clickhouse.rows("SELECT 1 FROM system.table_engines WHERE name = 'Kafka'"):
        return None
    return "this build of ClickHouse has no Kafka engine"


def statements(schema: Mapping[str, Any], queue: Queue) -> tuple[str, str]:
    """The table and the view. Nothing is read before the view exists."""
    settings = {
        "kafka_broker_list": f"'{queue.bootstrap_servers}'",
        "kafka_topic_list": f"'{queue.topic}'",
        "kafka_group_name": f"'{queue.group}'",
        "kafka_format": "'AvroConfluent'",
        "format_avro_schema_registry_url": f"'{queue.registry_url}'",
        "input_format_null_as_default": "1",
        "kafka_num_consumers": str(queue.consumers),
        "kafka_thread_per_consumer": str(int(queue.consumers > 1)),
        "kafka_max_block_size": "65536",
        "kafka_poll_max_batch_size": "65536",
        "kafka_flush_interval_ms": "1000",
    }
    shape = columns.structure(schema)
    told = ", ".join(f"{name} = {value}" for name, value in settings.items())
    pairs = zip(columns.select(schema, _COORDINATES), columns.columns(schema), strict=True)
    chosen = ", ".join(f"{expression} AS `{column}`" for expression, column in pairs)
    return (
        f"CREATE TABLE {_QUEUE} ({shape}) ENGINE = Kafka SETTINGS {told}",
        f"CREATE MATERIALIZED VIEW {_VIEW} TO stored_events AS SELECT {chosen} FROM {_QUEUE}",
    )


def assigned(clickhouse: ClickHouse) -> bool:
    """Whether the group has given the engine its partitions."""
    found = clickhouse.scalar(
        "SELECT sum(length(assignments.topic)) FROM system.kafka_consumers WHERE database = currentDatabase()"
    )
    return bool(found)


def drop(clickhouse: ClickHouse) -> None:
    """The view first, so that nothing more is read."""
    for name in (_VIEW, _QUEUE):
        clickhouse.execute(f"DROP TABLE IF EXISTS {name} SYNC")
