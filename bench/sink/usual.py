"""The sink that one usually writes in Python: AvroDeserializer, rows, `client.insert`, commit.

With the argument `fastavro` it decodes by fastavro alone, which spares what the deserializer does around it.

Batches of 10,000 rows, or what came within a second. At least once: after a crash between insert and commit the rows
come again. One thread, as in the libraries' own examples.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from typing import Any

import fastavro
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from bench.sink.rows import Rows
from bench.sink.task import BATCH_ROWS, BATCH_SECONDS, TABLE, Task, say_assigned

_HEADER = 5


def main() -> None:
    """Ends when all rows of the task are stored."""
    task = Task.of_environment()
    client = task.clickhouse()
    maker = Rows(task.schema(), task.topic)
    decode = _fastavro(task) if "fastavro" in sys.argv else _deserializer(task)
    consumer = Consumer(
        {
            "bootstrap.servers": task.bootstrap_servers,
            "group.id": task.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([task.topic], on_assign=_assigned)
    stored, rows, began = 0, list[list[Any]](), time.monotonic()
    while stored < task.events:
        for message in consumer.consume(BATCH_ROWS - len(rows), 0.1):
            rows.append(_row(message, maker, decode))
        if len(rows) >= BATCH_ROWS or (rows and time.monotonic() - began > BATCH_SECONDS):
            client.insert(TABLE, rows, column_names=maker.names)
            consumer.commit(asynchronous=False)
            stored += len(rows)
            rows, began = [], time.monotonic()
    consumer.close()


def _row(message: Message, maker: Rows, decode: Callable[[bytes], Any]) -> list[Any]:
    error = message.error()
    if error is not None:
        raise RuntimeError(error.str())
    event = decode(message.value() or b"")
    return maker.row(event, message.partition() or 0, message.offset() or 0, message.timestamp()[1])


def _deserializer(task: Task) -> Callable[[bytes], Any]:
    deserializer: Any = AvroDeserializer(SchemaRegistryClient({"url": task.registry_url}))
    context = SerializationContext(task.topic, MessageField.VALUE)
    return lambda value: deserializer(value, context)


def _fastavro(task: Task) -> Callable[[bytes], Any]:
    schema, read = fastavro.parse_schema(task.schema()), fastavro.schemaless_reader
    return lambda value: read(io.BytesIO(value[_HEADER:]), schema, None)


def _assigned(_consumer: Consumer, _partitions: list[TopicPartition]) -> None:
    say_assigned()


if __name__ == "__main__":
    main()
