"""A steady load on a topic, with probes in it that carry the instant at which they were made.

Run as `python -m bench.sink.load SOURCE TOPIC RATE SECONDS`: messages of SOURCE go to TOPIC at that rate, and 50 times
a second an event of the account `latency-probe` whose `occurred_at` is now. It says at the end what it has sent.
"""

from __future__ import annotations

import io
import json
import sys
import time
from datetime import UTC, datetime
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import fastavro
from confluent_kafka import Producer

from bench.sink import backlog
from taximeter_schemas import avro_files, frame
from taximeter_schemas.settings import KafkaSettings
from taximeter_schemas.uuid7 import new_event_id

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBES_PER_SECOND = 50
ACCOUNT = "latency-probe"
_BEAT_SECONDS = 0.004
_KEPT = 50_000


def due(rate: float, elapsed: float, sent: int) -> int:
    """How many more must be sent so that the rate holds."""
    return max(int(rate * elapsed) - sent, 0)


def probe(model: bytes, now: datetime) -> bytes:
    """An event like the one in this message, of another account, that happened now."""
    schema_id, body = frame.split(model)
    schema = avro_files.parsed(schema_id)
    event: Any = fastavro.schemaless_reader(io.BytesIO(body), schema, None)
    out = io.BytesIO()
    event |= {"account_id": ACCOUNT, "event_id": new_event_id(), "occurred_at": now}
    fastavro.schemaless_writer(out, schema, event)
    return frame.header(schema_id) + out.getvalue()


def main(argv: list[str]) -> None:
    """Sends, and prints one JSON object."""
    source, topic, rate, seconds = argv[1], argv[2], float(argv[3]), float(argv[4])
    kafka = KafkaSettings()
    messages = list(backlog.read(kafka, source, _KEPT))
    producer = Producer({**kafka.client_config(), **backlog.PRODUCER})
    stream = cycle(messages)
    began, sent, probes = time.monotonic(), 0, 0
    while (elapsed := time.monotonic() - began) < seconds:
        if due(PROBES_PER_SECOND, elapsed, probes):
            producer.produce(topic, probe(messages[probes % len(messages)].value, datetime.now(UTC)), str(probes))
            probes += 1
        # In small portions, so that probes are made on time however much is due.
        sent += _send(producer, topic, islice(stream, min(due(rate, elapsed, sent), 2_000)))
        producer.poll(0)
        if not due(rate, time.monotonic() - began, sent):
            time.sleep(_BEAT_SECONDS)
    lasted = time.monotonic() - began
    left = producer.flush(60)
    sys.stdout.write(json.dumps({"sent": sent, "probes": probes, "seconds": lasted, "lost": left}) + "\n")


def _send(producer: Producer, topic: str, messages: Iterator[backlog.Message]) -> int:
    count = 0
    for message in messages:
        backlog.send(producer, topic, message)
        count += 1
    return count


if __name__ == "__main__":
    main(sys.argv)
