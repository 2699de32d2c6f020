"""The line to the quota service: commands go out by an idempotent producer, one thread hands answers to who waits.

Answers are read from one partition of the answers topic, chosen by chance, without a consumer group, from the end that
it had before the first command was sent. A crash loses who waited; what they asked stands in the log all the same. The
thread ends with `close`; a forked child leaves the parent's line alone and opens one of its own.
"""

from __future__ import annotations

import ctypes
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from taximeter.emitter.kafka import QuietLogger
from taximeter.faults import Faults
from taximeter_schemas.errors import Misconfigured, Poison, Retryable, TaximeterError
from taximeter_schemas.quota.answers import Answer, answer_of
from taximeter_schemas.quota.commands import Asked, encoded, root_of
from taximeter_schemas.quota.subject import partition_of
from taximeter_schemas.settings import KafkaSettings, TopicSettings
from taximeter_schemas.uuid7 import new_event_id

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, Producer

Outcome = Answer | TaximeterError
Then = Callable[[Outcome], None]
"""Called once, on the line's thread: it must be short and must not raise."""

_BEAT_SECONDS = 0.1
_LOOK_SECONDS = 5.0
_FLUSH_SECONDS = 2.0

# A command is small and somebody waits for it. A fetch that waits at the broker ends with the first record.
_BOTH = {"socket.nagle.disable": True, "log.connection.close": False, "client.id": "taximeter-quota"}
PRODUCER = {**_BOTH, "enable.idempotence": True, "acks": "all", "linger.ms": 0, "message.timeout.ms": 10_000}
CONSUMER = {
    **_BOTH,
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "isolation.level": "read_uncommitted",
    "fetch.min.bytes": 1,
    "fetch.wait.max.ms": 500,
    "allow.auto.create.topics": False,
}


class QuotaUnavailable(Retryable):
    """Nobody answered in time, or what is used is not known now: the caller's policy decides."""


@dataclass(frozen=True)
class Place:
    """Where the line goes."""

    kafka: KafkaSettings
    topics: TopicSettings
    faults: Faults


class Line:
    """Made by `open_line`. Safe across threads."""

    def __init__(self, place: Place, producer: Producer, consumer: Consumer, found: tuple[int, int]) -> None:
        self._place = place
        self._producer, self._consumer = producer, consumer
        self._partitions, self.answer_to = found
        self.caller = new_id()
        self._key = self.caller.encode()
        self._lock = threading.Lock()
        self._waiting: dict[str, Then] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._over = False
        # Whoever closes the line lives as long as its thread.
        self.owner: object = None
        self._thread = threading.Thread(target=self._run, name="taximeter-quota-answers", daemon=True)
        self._thread.start()

    def send(self, command: Asked, seconds: float, then: Then) -> None:
        """Send a command and have its answer, or QuotaUnavailable after `seconds`, handed to `then`. Never raises."""
        with self._lock:
            if not self._over:
                self._waiting[command.command_id] = then
                heappush(self._deadlines, (time.monotonic() + seconds, command.command_id))
        if self._over:
            then(QuotaUnavailable("the quota client is closed"))
            return
        self._produce(command, partial(self._sent, command.command_id))

    def tell(self, command: Asked) -> None:
        """Send a command whose answer nobody awaits. Never raises."""
        self._produce(command, lambda _error, _message: None)

    def _produce(self, command: Asked, report: Callable[[KafkaError | None, Message], None]) -> None:
        root = root_of(command)
        topic, partition = self._place.topics.quota_commands, partition_of(root, self._partitions)
        try:
            self._producer.produce(topic, encoded(command), root.encode(), partition, on_delivery=report)
        except Exception as error:  # noqa: BLE001 - a full queue, a fatal error, a command too large: all said to the caller
            self._settle(command.command_id, QuotaUnavailable(f"the command could not be sent: {error}"))

    def _sent(self, command_id: str, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            said = f"Kafka did not take the command ({error.name()}: {error.str()}); is the broker up?"
            self._settle(command_id, QuotaUnavailable(said))

    def _settle(self, command_id: str, outcome: Outcome) -> None:
        with self._lock:
            then = self._waiting.pop(command_id, None)
        if then is not None:
            try:
                then(outcome)
            except Exception as error:  # noqa: BLE001 - one caller's mistake must not end the answers of all others
                self._place.faults.say("quota.answer", f"an answer could not be handed over ({type(error).__name__})")

    def _run(self) -> None:
        while not self._over:
            try:
                message = self._consumer.poll(_BEAT_SECONDS)
                if message is not None and message.error() is None:
                    self._take(message)
                self._producer.poll(0)
                self._expire(time.monotonic())
            except Exception as error:  # noqa: BLE001 - whatever goes wrong once must not end the answers of all others
                self._place.faults.say("quota.line", f"the quota line goes on after a {type(error).__name__}")
        with suppress(Exception):
            self._producer.flush(_FLUSH_SECONDS)
            self._consumer.close()

    def _take(self, message: Message) -> None:
        body = message.value()
        if message.key() != self._key or body is None:
            return
        try:
            answer = answer_of(body)
        except Poison as error:
            self._place.faults.say("quota.answer", str(error))
            return
        self._settle(answer.command_id, answer)

    def _expire(self, now: float) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            with self._lock:
                _, command_id = heappop(self._deadlines)
            if command_id in self._waiting:
                self._settle(command_id, silence(self._place.topics.quota_commands))

    def close(self) -> None:
        """Send what is on its way and end the thread; who still waits is told so."""
        with self._lock:
            self._over = True
        if self._thread is not threading.current_thread():
            self._thread.join(_FLUSH_SECONDS + 2.0)
        for command_id in list(self._waiting):
            self._settle(command_id, QuotaUnavailable("the quota client was closed before the answer came"))

    def abandon(self) -> None:
        """Leave the parent's clients alone: destroying them in a forked child would wait for threads it has not."""
        for client in (self._producer, self._consumer):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))


def silence(topic: str) -> QuotaUnavailable:
    """Nobody answered in time."""
    return QuotaUnavailable(
        f"no answer came from the quota service, which reads {topic}\n"
        "  mend: see that `taximeter quota service` is running, and reads this topic of this Kafka"
    )


def open_line(place: Place) -> Line:
    """Waits for Kafka at most some seconds. Raises QuotaUnavailable, or Misconfigured for settings that are refused."""
    try:
        import confluent_kafka
    except ImportError as error:
        raise Misconfigured("confluent-kafka is not installed", mend="pip install taximeter") from error
    given: dict[str, Any] = dict(place.kafka.client_config())
    logger = QuietLogger(place.faults)
    try:
        producer = confluent_kafka.Producer({**PRODUCER, **given}, logger=logger)
        consumer = confluent_kafka.Consumer({**CONSUMER, "group.id": "taximeter-quota", **given}, logger=logger)
    except (confluent_kafka.KafkaException, TypeError, ValueError) as error:
        raise Misconfigured(
            f"the Kafka client refuses its settings: {error}", mend="look at the KAFKA_* variables"
        ) from None
    try:
        partitions = _partitions(consumer, place, place.topics.quota_commands)
        answer_to = random.randrange(_partitions(consumer, place, place.topics.quota_answers))  # noqa: S311 - no secret
        here = confluent_kafka.TopicPartition(place.topics.quota_answers, answer_to)
        _, end = consumer.get_watermark_offsets(here, timeout=_LOOK_SECONDS)
        here.offset = end
        consumer.assign([here])
    except confluent_kafka.KafkaException as error:
        consumer.close()
        raise _unreachable(place, error.args[0].name()) from None
    except TaximeterError:
        consumer.close()
        raise
    return Line(place, producer, consumer, (partitions, answer_to))


def _partitions(consumer: Consumer, place: Place, topic: str) -> int:
    found = consumer.list_topics(topic, timeout=_LOOK_SECONDS).topics.get(topic)
    if found is None or found.error is not None or not found.partitions:
        said = "" if found is None or found.error is None else f" ({found.error.name()})"
        raise QuotaUnavailable(
            f"the topic {topic} is not there on {place.kafka.bootstrap_servers}{said}"
            "\n  mend: `taximeter topics create`"
        )
    return len(found.partitions)


def _unreachable(place: Place, name: str) -> QuotaUnavailable:
    return QuotaUnavailable(
        f"Kafka at {place.kafka.bootstrap_servers} does not answer ({name})\n"
        "  mend: start the local stack with `taximeter up`, or set KAFKA_BOOTSTRAP_SERVERS"
    )


def new_id() -> str:
    """An id that nobody else has: of a caller, a command, a hold."""
    return str(new_event_id())
