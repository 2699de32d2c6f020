"""Alerts on their way out: read in a group of its own, each offset committed when the alert is delivered or given up.

A crash between delivery and commit delivers again, under the same id. A stop in the middle of a delivery leaves the
alert to the next start. Only committed alerts are read: what a rolled-back checkpoint had is never told.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from taximeter_consumers.kafka_client import partitions_of, refused_settings
from taximeter_consumers.kafka_errors import translate
from taximeter_consumers.sink.group import behind
from taximeter_consumers.sink.writers import Patience
from taximeter_schemas.errors import Fenced, Poison, Retryable
from taximeter_schemas.quota.answers import Alert, alert_of

if TYPE_CHECKING:
    import threading

    from taximeter_consumers.quota.service.settings import AlertSettings
    from taximeter_schemas.settings import KafkaSettings

_log = structlog.get_logger()
_POLL_SECONDS: Final = 0.2


class Delivery(IntEnum):
    """What came of an alert; the greater the worse."""

    DELIVERED = 0
    GIVEN_UP = 1
    STOPPED = 2


Deliver = Callable[[Alert, bytes], Delivery]
"""Takes an alert and its bytes."""


@dataclass
class Told:
    """What was done since the start."""

    delivered: int = 0
    given_up: int = 0
    poison: int = 0


def printed_lines(write: Callable[[str], None]) -> Deliver:
    """Delivers to `write`, one line of JSON each."""

    def deliver(_: Alert, body: bytes) -> Delivery:
        write(body.decode())
        return Delivery.DELIVERED

    return deliver


def follow_alerts(
    kafka: KafkaSettings,
    topic: str,
    settings: AlertSettings,
    deliver: Deliver,
    stop: threading.Event,
    *,
    until_caught_up: bool = False,
) -> Told:
    """Delivers until `stop` is set or, if asked, until the topic's end. Raises Misconfigured; Retryable never."""
    told, attempt = Told(), 0
    patience, jitter = Patience(base=0.5, most=15.0), random.Random()  # noqa: S311 - jitter is no secret
    while not stop.is_set():
        consumer = _open(kafka, settings)
        try:
            partitions_of(consumer, kafka, topic, mend="create the topics with `taximeter topics create`")
            _Follower(consumer, topic, deliver, told).run(stop, until_caught_up=until_caught_up)
            break
        except (Retryable, Fenced) as error:
            attempt += 1
            _log.warning("joining the group anew", attempt=attempt, error=str(error))
            stop.wait(patience.delay(attempt, jitter))
        finally:
            with suppress(KafkaException, RuntimeError):
                consumer.close()
    return told


class _Follower:
    def __init__(self, consumer: Consumer, topic: str, deliver: Deliver, told: Told) -> None:
        self._consumer = consumer
        self._topic = topic
        self._deliver = deliver
        self._told = told
        self._assigned: set[int] = set()
        self._ended: set[int] = set()
        self._joined = False

    def run(self, stop: threading.Event, *, until_caught_up: bool) -> None:
        self._consumer.subscribe([self._topic], on_assign=self._come, on_revoke=self._gone, on_lost=self._gone)
        while not stop.is_set() and not (until_caught_up and self._caught_up()):
            try:
                message = self._consumer.poll(_POLL_SECONDS)
            except KafkaException as error:
                raise translate(error.args[0]) from error
            if message is not None and not self._take(message):
                return

    def _caught_up(self) -> bool:
        if not self._joined or not self._assigned <= self._ended:
            return False
        return not behind(self._consumer, self._topic, apart_from=self._assigned)

    def _take(self, message: Message) -> bool:
        """Delivers it; whether to go on."""
        error, number = message.error(), message.partition()
        if error is not None:
            self._notice(error, -1 if number is None else number)
            return True
        self._ended.discard(-1 if number is None else number)
        body = message.value() or b""
        try:
            alert = alert_of(body)
        except Poison as poison:
            self._told.poison += 1
            _log.warning("passed by", reason=poison.reason, partition=number, offset=message.offset())
        else:
            delivery = self._deliver(alert, body)
            if delivery is Delivery.STOPPED:
                return False
            self._told.delivered += delivery is Delivery.DELIVERED
            self._told.given_up += delivery is Delivery.GIVEN_UP
        try:
            self._consumer.commit(message=message, asynchronous=False)
        except KafkaException as refused:
            raise translate(refused.args[0]) from refused
        return True

    def _notice(self, error: KafkaError, number: int) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes begin with an underscore
            self._ended.add(number)
            return
        failure = translate(error)
        if error.fatal() or not isinstance(failure, Retryable):
            raise failure
        _log.warning("Kafka reports an error", error=str(failure))

    def _come(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._joined = True
        self._assigned |= {place.partition for place in partitions}

    def _gone(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = {place.partition for place in partitions}
        self._assigned -= numbers
        self._ended -= numbers


def _open(kafka: KafkaSettings, settings: AlertSettings) -> Consumer:
    config: dict[str, str | int | bool] = {
        **kafka.client_config(),
        "client.id": "taximeter-quota-alerts",
        "group.id": settings.group_id,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": settings.session_timeout_ms,
        # One alert may be tried for a long time at several URLs.
        "max.poll.interval.ms": 24 * 3_600_000,
    }
    try:
        return Consumer(config, logger=logging.getLogger("taximeter.kafka"))
    except KafkaException as error:
        raise refused_settings(error) from error
