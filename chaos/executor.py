"""`python -m chaos.executor`: sends a stream of entries through an outbox, the journal.

Killed at any point and started again with the same journal it sends what has no acknowledgement once more, under the
same ids, and goes on with the stream where the journal ends. It ends with 0 once it has
been told that it is enough and every entry is acknowledged, so that a fault never runs out of events. A broker that is
away is waited for; a producer that became fatal, or of which nothing was heard, is replaced: librdkafka's may stand
still after a broker came back (its issue 4976).
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from chaos import streams
from chaos.journal import Ack, Entry, Journal, read
from taximeter_consumers.kafka_client import QUIET
from taximeter_schemas.settings import KafkaSettings

GROUP: Final = 20
_FLUSH_SECONDS: Final = 30
# Entries a second beyond the least size: enough to go on with, too few to pile up.
TRICKLE: Final = 100
_LAP_SEEDS: Final = 10_000_019
DEATHS: Final = (
    "before_produce",  # in the journal, not handed to the client
    "after_produce",  # handed to the client, no word from the broker
    "after_ack",  # the broker has it, the journal does not know
    "after_journal",  # the journal knows
)


class Outbox:
    """Sends groups of entries and returns when they are acknowledged in the journal."""

    def __init__(self, journal: Journal, topic: str, die: str | None, message_timeout_ms: int = 300_000) -> None:
        self._message_timeout_ms = message_timeout_ms
        self._journal = journal
        self._topic = topic
        self._acks: list[Ack] = []
        self._fatal = False
        point, _, nth = (die or "").partition("@")
        self._die_at, self._visits = (point, int(nth or 1)), itertools.count(1)
        self._producer = self._open()

    def send(self, entries: Sequence[Entry]) -> None:
        """Produces the entries until all of them are acknowledged."""
        self._reached("before_produce")
        todo = {entry.number: entry for entry in entries}
        while todo:
            for entry in todo.values():
                self._produce(entry)
            self._reached("after_produce")
            left = self._producer.flush(_FLUSH_SECONDS)
            acks, self._acks = self._acks, []
            if acks:
                self._reached("after_ack")
                self._journal.add(acks)
                self._reached("after_journal")
            for ack in acks:
                todo.pop(ack.number, None)
            if self._fatal or (left and not acks):
                # What it still has would be sent twice.
                self._producer.purge()
                self._producer.flush(_FLUSH_SECONDS)
                self._producer, self._fatal = self._open(), False

    def _produce(self, entry: Entry) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            partition, offset = message.partition(), message.offset()
            if error is not None:
                print(f"sends again: {error.name()}", file=sys.stderr, flush=True)
                self._fatal = self._fatal or error.fatal() or error.code() == KafkaError._FATAL  # noqa: SLF001 - their name
            elif partition is not None and offset is not None:
                self._acks.append(Ack(entry.number, partition, offset))

        anywhere = -1  # the client's own word for: by the key
        self._producer.produce(
            self._topic,
            value=entry.value,
            key=entry.key,
            partition=anywhere if entry.partition is None else entry.partition,
            on_delivery=delivered,
        )
        self._producer.poll(0)

    def _open(self) -> Producer:
        patience = {"message.timeout.ms": self._message_timeout_ms}
        config = {"enable.idempotence": True, "acks": "all", "linger.ms": 2, "client.id": "chaos-executor", **patience}
        return Producer({**KafkaSettings().client_config(), **config}, logger=QUIET)

    def _reached(self, point: str) -> None:
        if point == self._die_at[0] and next(self._visits) == self._die_at[1]:
            os.kill(os.getpid(), signal.SIGKILL)


def groups(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    """Entries in groups of a size; one that must wait for earlier acknowledgements begins a group."""
    group: list[Entry] = []
    for entry in entries:
        if group and (len(group) >= GROUP or entry.after_acks):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def laps(options: argparse.Namespace) -> Iterator[Entry]:
    """The stream once, and on with further seeds until the file of `--until` is there."""
    stream, number = streams.named(options.stream), 0
    for lap in itertools.count():
        for entry in stream(options.seed + lap * _LAP_SEEDS, options.events):
            if lap and options.until.exists():
                return
            yield replace(entry, number=number)
            number += 1


def main(argv: Sequence[str]) -> int:
    """Exit 0 when all that was sent is acknowledged and the file of `--until` is there."""
    options = _parse(argv)
    known = read(options.journal)
    journal = Journal(options.journal)
    outbox = Outbox(journal, options.topic, options.die, options.message_timeout_ms)
    for group in groups(iter(known.open)):
        outbox.send(group)
    rest = itertools.islice(laps(options), len(known.entries), None)
    began, sent = time.monotonic(), 0
    for group in groups(rest):
        journal.add(group)
        outbox.send(group)
        sent += len(group)
        if len(known.entries) + sent > options.events:
            time.sleep(len(group) / TRICKLE)
        elif options.rate:
            time.sleep(max(0.0, began + sent / options.rate - time.monotonic()))
    journal.close()
    return 0


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos.executor")
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--stream", default=streams.PLAIN)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0.0, help="entries a second at most; 0: as fast as it goes")
    parser.add_argument("--message-timeout-ms", type=int, default=300_000, help="sends a record again after so long")
    parser.add_argument("--until", type=Path, required=True, help="go on beyond --events until this file exists")
    parser.add_argument("--die", metavar="POINT@N", help=f"kill itself there: {', '.join(DEATHS)}")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
