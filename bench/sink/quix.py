"""The same with Quix Streams: its Avro deserializer and a sink of its kind that inserts at each checkpoint.

Runs in an environment of its own, see `peers`. Rows of all partitions go into one insert; the library's own
`BatchingSink` would make one for each partition. At least once, as the library promises.
"""

from __future__ import annotations

from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]  # lives in an environment of its own
from quixstreams.models.serializers.avro import AvroDeserializer  # type: ignore[import-not-found]  # the same
from quixstreams.models.serializers.schema_registry import (  # type: ignore[import-not-found]  # the same
    SchemaRegistryClientConfig,
)
from quixstreams.sinks import BaseSink  # type: ignore[import-not-found]  # the same

from bench.sink.rows import Rows
from bench.sink.task import BATCH_ROWS, BATCH_SECONDS, TABLE, Task, say_assigned


class ClickHouseSink(BaseSink):  # type: ignore[misc]  # untyped here, for the library is elsewhere
    """Holds rows until the checkpoint."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._client = task.clickhouse()
        self._maker = Rows(task.schema(), task.topic)
        self._rows: list[list[Any]] = []
        self._said = False

    def add(self, *, value: Any, timestamp: int, partition: int, offset: int, **_: Any) -> None:
        """One event. The clock starts at the first, because the library tells nobody of its assignment."""
        if not self._said:
            say_assigned()
            self._said = True
        self._rows.append(self._maker.row(value, partition, offset, timestamp))

    def flush(self) -> None:
        """The checkpoint: the library commits after it."""
        if self._rows:
            self._client.insert(TABLE, self._rows, column_names=self._maker.names)
            self._rows = []

    def on_paused(self) -> None:
        """Nothing is held back."""


def main() -> None:
    """Ends when all rows of the task are stored."""
    task = Task.of_environment()
    application = Application(
        broker_address=task.bootstrap_servers,
        consumer_group=task.group,
        auto_offset_reset="earliest",
        commit_every=BATCH_ROWS,
        commit_interval=BATCH_SECONDS,
        auto_create_topics=False,
        loglevel="WARNING",
    )
    registry = SchemaRegistryClientConfig(url=task.registry_url)
    deserializer = AvroDeserializer(schema_registry_client_config=registry)
    topic = application.topic(task.topic, value_deserializer=deserializer, key_deserializer="bytes")
    application.dataframe(topic).sink(ClickHouseSink(task))
    application.run(count=task.events)


if __name__ == "__main__":
    main()
