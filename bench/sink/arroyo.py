"""The same with Arroyo: batch, decode and insert, commit.

Runs in an environment of its own, see `peers`. The library brings no Avro, so fastavro decodes. At least once.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import fastavro
from arroyo.backends.kafka import (  # type: ignore[import-not-found]  # lives in an environment of its own
    KafkaConsumer,
    build_kafka_consumer_configuration,
)
from arroyo.processing.processor import StreamProcessor  # type: ignore[import-not-found]  # the same
from arroyo.processing.strategies import (  # type: ignore[import-not-found]  # the same
    BatchStep,
    CommitOffsets,
    ProcessingStrategyFactory,
    RunTask,
)
from arroyo.types import Topic  # type: ignore[import-not-found]  # the same

from bench.sink.rows import Rows
from bench.sink.task import BATCH_ROWS, BATCH_SECONDS, TABLE, Task, say_assigned

_HEADER = 5


class Factory(ProcessingStrategyFactory):  # type: ignore[misc]  # untyped here, for the library is elsewhere
    """Batches of 10,000 rows, stored by a task of ours, then committed."""

    def __init__(self, task: Task) -> None:
        self._client = task.clickhouse()
        schema = task.schema()
        self._maker = Rows(schema, task.topic)
        self._schema: Any = fastavro.parse_schema(schema)
        self._left = task.events
        self.processor: Any = None

    def create_with_partitions(self, commit: Any, partitions: Mapping[Any, int]) -> Any:  # noqa: ARG002 - its protocol
        """Called at each assignment."""
        say_assigned()
        return BatchStep(BATCH_ROWS, BATCH_SECONDS, RunTask(self._store, CommitOffsets(commit)))

    def _store(self, message: Any) -> Any:
        read: Any = fastavro.schemaless_reader
        schema, row = self._schema, self._maker.row
        rows = [
            row(
                read(io.BytesIO(value.payload.value[_HEADER:]), schema, None),
                value.partition.index,
                value.offset,
                round(value.timestamp.timestamp() * 1000),
            )
            for value in message.payload
        ]
        self._client.insert(TABLE, rows, column_names=self._maker.names)
        self._left -= len(rows)
        if self._left <= 0:
            self.processor.signal_shutdown()
        return len(rows)


def main() -> None:
    """Ends when all rows of the task are stored."""
    task = Task.of_environment()
    configuration = build_kafka_consumer_configuration(
        {}, bootstrap_servers=[task.bootstrap_servers], group_id=task.group, auto_offset_reset="earliest"
    )
    factory = Factory(task)
    factory.processor = StreamProcessor(KafkaConsumer(configuration), Topic(task.topic), factory)
    factory.processor.run()


if __name__ == "__main__":
    main()
