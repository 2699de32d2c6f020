"""Traffic for the proof of shadows: millions of events fast, each different, and what they must add up to.

Events are simulated once and encoded; every further copy gets ids of its own, written over the text of the first ones.
`python -m chaos.shadow_traffic` sends on at a rate until it is told to end, and then says how many it sent.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from confluent_kafka import Producer

from taximeter_infra.simulate.generator import events
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_schemas import avro_files, frame
from taximeter_schemas.codec import encode
from taximeter_schemas.settings import KafkaSettings

MOST_TEMPLATES = 20_000
_AT_ONCE = 5_000
_AN_HOUR = 30_000
_MONTH_ENDS = datetime(2026, 8, 1, tzinfo=UTC)
_HEADER = frame.header(avro_files.CURRENT_VERSION)
_NODE = 12
_MASK = (1 << 48) - 1
# Odd, so that each copy of an id is another one.
_STEP = 0x9E37_79B9_7F4B


@dataclass(frozen=True)
class Template:
    """One encoded event, where its ids stand in it, and what it used."""

    value: bytes
    run_id: bytes
    run_at: int
    event_at: int
    run_node: int
    event_node: int
    tokens: int

    def copy(self, number: int) -> tuple[bytes, bytes]:
        """Key and value of the event as its copy `number`: the last twelve digits of both ids are other ones."""
        shift = number * _STEP
        run = b"%012x" % ((self.run_node + shift) & _MASK)
        event = b"%012x" % ((self.event_node + shift) & _MASK)
        value = bytearray(self.value)
        value[self.run_at : self.run_at + _NODE] = run
        value[self.event_at : self.event_at + _NODE] = event
        return self.run_id[:-_NODE] + run, bytes(value)


def backlog(seed: int, count: int) -> SimulationPlan:
    """Events of some hours around the end of a month; of a week, where they are millions."""
    made = min(count, MOST_TEMPLATES)
    span = timedelta(hours=min(max(4.0, count / _AN_HOUR), 7 * 24))
    return SimulationPlan(made, seed=seed, start=_MONTH_ENDS - span / 2, pace=made / span.total_seconds())


def templates(plan: SimulationPlan) -> list[Template]:
    """Simulated events, encoded."""
    made = []
    for event in events(plan):
        value, run_id, event_id = encode(event, _HEADER), event.run_id.encode(), str(event.event_id).encode()
        ends = [value.index(text) + len(text) - _NODE for text in (run_id, event_id)]
        nodes = [int(text[-_NODE:], 16) for text in (run_id, event_id)]
        tokens = 0 if event.ai is None else event.ai.input_tokens + event.ai.output_tokens
        made.append(Template(value, run_id, ends[0], ends[1], nodes[0], nodes[1], tokens))
    return made


def messages(plan: SimulationPlan, count: int) -> Iterator[tuple[bytes, bytes, int]]:
    """Key, value and tokens of `count` different events, copies of those of the plan."""
    made = templates(plan)
    copies = itertools.count()
    left = count
    while left > 0:
        number = next(copies)
        for template in made[:left]:
            yield (*template.copy(number), template.tokens)
        left -= len(made)


def in_order(plan: SimulationPlan, count: int) -> Iterator[tuple[bytes, bytes, int]]:
    """The same, all copies of an event together: by time, as a topic that was filled over days has them."""
    made = templates(plan)
    copies, more = divmod(count, len(made))
    for place, template in enumerate(made):
        for number in range(copies + (place < more)):
            yield (*template.copy(number), template.tokens)


def as_it_happens(seed: int, rate: float) -> Iterator[tuple[bytes, bytes, int]]:
    """The same without end, as executors send: of what happens now, so that a tick touches what is new and not
    everything. A few thousand are made at a time, each time by another seed."""
    for place in itertools.count():
        plan = SimulationPlan(_AT_ONCE, seed=seed + place, start=datetime.now(UTC), pace=rate)
        yield from messages(plan, _AT_ONCE)


@dataclass
class Sent:
    """What the broker has acknowledged, and the tokens of all."""

    events: int = 0
    tokens: int = 0
    refused: int = 0


class Sender:
    """Sends to one topic and waits for every acknowledgement."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._topic = topic
        self.sent = Sent()
        self._producer = Producer(
            {
                **kafka.client_config(),
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 20,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 500_000,
            }
        )

    def send(self, key: bytes, value: bytes, tokens: int) -> None:
        """Hands over one message, waiting for room."""
        while True:
            try:
                self._producer.produce(self._topic, key=key, value=value)
            except BufferError:
                self._producer.poll(0.1)
            else:
                break
        self.sent.events += 1
        self.sent.tokens += tokens
        if self.sent.events % 1_000 == 0:
            self._producer.poll(0)

    def finish(self) -> Sent:
        """Returns when all is acknowledged. Raises TimeoutError when it is not."""
        left = self._producer.flush(120)
        if left:
            raise TimeoutError(f"{left} events were not acknowledged")
        return self.sent


def send_all(kafka: KafkaSettings, topic: str, seed: int, count: int) -> Sent:
    """Sends `count` events as fast as it goes."""
    sender = Sender(kafka, topic)
    for message in in_order(backlog(seed, count), count):
        sender.send(*message)
    return sender.finish()


def main(argv: Sequence[str] | None = None) -> int:
    """Sends until SIGTERM; the last line of its output says how many, and how many tokens."""
    parser = argparse.ArgumentParser(prog="python -m chaos.shadow_traffic")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    options = parser.parse_args(argv)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    sender, began = Sender(KafkaSettings(), options.topic), time.monotonic()
    for number, message in enumerate(as_it_happens(options.seed, options.rate)):
        sender.send(*message)
        if number % 50 == 0 and stop.wait(max(0.0, number / options.rate - (time.monotonic() - began))):
            break
    sent = sender.finish()
    print(f"{sent.events} {sent.tokens}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
