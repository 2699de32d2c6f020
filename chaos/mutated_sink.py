"""`python -m chaos.mutated_sink NAME sink ...`: `taximeter sink` with a fault built in, to see the harness turn red.

The product's functions and tables are altered in this process and in the database of its run, nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from taximeter_consumers.clickhouse import connect
from taximeter_consumers.sink import columns, group, partition
from taximeter_infra.__main__ import main
from taximeter_schemas.settings import ClickHouseSettings, TopicSettings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, TopicPartition

    from taximeter_consumers.sink.intent import Standing

_OTHER = """
CREATE TABLE plain_events AS stored_events ENGINE = MergeTree PARTITION BY toYYYYMM(id_time)
ORDER BY (account_id, id_time, event_id) SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0
"""


def window_zero() -> None:
    """The events go to a plain MergeTree without a window, and the view shows what lies there."""
    with closing(connect(ClickHouseSettings())) as clickhouse:
        engine = clickhouse.scalar(
            "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'stored_events'"
        )
        if engine == "MergeTree":
            return
        clickhouse.execute(_OTHER)
        clickhouse.execute("EXCHANGE TABLES plain_events AND stored_events")
        clickhouse.execute("CREATE OR REPLACE VIEW events AS SELECT * EXCEPT (version) FROM stored_events")


def resume_by_max_offset() -> None:
    """A partition's work begins after the greatest offset that the table has of it; no intent is heeded."""

    told = group.committed

    def committed(consumer: Consumer, partitions: Iterable[TopicPartition]) -> dict[int, Standing]:
        with closing(connect(ClickHouseSettings())) as clickhouse:
            found = clickhouse.rows(
                "SELECT kafka_partition, max(kafka_offset) + 1 FROM stored_events"
                " WHERE kafka_topic = {topic:String} GROUP BY kafka_partition",
                {"topic": TopicSettings().events},
            )
        known: Mapping[int, int] = {int(number): int(offset) for number, offset in found}
        standings = told(consumer, partitions)
        return {at: replace(one, offset=known.get(at, -1), intents=()) for at, one in standings.items()}

    group.committed = committed


def commit_before_insert() -> None:
    """What is committed is the end of what is in flight; intents below it are void."""
    true_place: property = vars(partition.Partition)["commit_at"]

    def commit_at(self: partition.Partition) -> int:
        flying = self.in_flight
        return flying[-1].last + 1 if flying else int(true_place.__get__(self))

    _replace(partition.Partition, "commit_at", property(commit_at))


def no_offset_guard() -> None:
    """The insert takes whatever the engine reads."""
    nothing = cached_property(lambda _: "0")
    nothing.__set_name__(columns.SchemaColumns, "guards")
    _replace(columns.SchemaColumns, "guards", nothing)


def _replace(owner: type, name: str, value: object) -> None:
    """Replaces what is there; a mutation of what is not there any more would prove nothing."""
    if not hasattr(owner, name):
        raise AttributeError(f"{owner.__name__} has no {name} to alter; bring the mutation up to date")
    setattr(owner, name, value)


MUTATIONS: Final[Mapping[str, Callable[[], None]]] = {
    "window_zero": window_zero,
    "resume_by_max_offset": resume_by_max_offset,
    "commit_before_insert": commit_before_insert,
    "no_offset_guard": no_offset_guard,
}

if __name__ == "__main__":
    MUTATIONS[sys.argv[1]]()
    sys.argv[1:] = sys.argv[2:]
    main()
