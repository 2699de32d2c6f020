"""Looking at Kafka: brokers, consumer groups, dead letters. No group is joined and nothing is committed.

Each question has a time limit; raises Retryable or Misconfigured where there is no answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # public, not in its stubs

from taximeter_consumers.kafka_client import QUIET, refused_settings
from taximeter_consumers.kafka_errors import translate
from taximeter_infra.status.facts import Cluster, Group, Letters, Waiting
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka import Message

    from taximeter_schemas.settings import KafkaSettings

_SECONDS: Final = 2.0
_FETCH_SECONDS: Final = 0.8
_POLL_SECONDS: Final = 0.1
_EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - librdkafka's own codes begin with an underscore
_REFUSED: Final = frozenset(
    [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION]  # noqa: SLF001 - the same
)
_GROUP_GONE: Final = "GROUP_ID_NOT_FOUND"


class KafkaEyes:
    """A look at each thing, over connections of its own; several threads may look at the same time."""

    def __init__(self, kafka: KafkaSettings) -> None:
        """Raises Misconfigured for settings that Kafka's client refuses. Connects to nothing yet."""
        self._config: dict[str, Any] = {**kafka.client_config(), "client.id": "taximeter-status", "log_level": 0}
        try:
            self._admin = AdminClient(self._config, logger=QUIET)
        except KafkaException as error:
            raise refused_settings(error) from error
        self._letters: tuple[Mapping[int, int], str, float | None] | None = None

    def cluster(self, wanted: Sequence[str]) -> Cluster:
        """The brokers, and which of the topics are there and led."""
        try:
            found = self._admin.list_topics(timeout=_SECONDS)
        except KafkaException as error:
            raise translate(error.args[0]) from error
        missing = [name for name in wanted if name not in found.topics]
        leaderless = [
            name
            for name in wanted
            if name in found.topics and any(part.leader < 0 for part in found.topics[name].partitions.values())
        ]
        return Cluster(
            len(found.brokers), len(found.topics), missing, leaderless, none_of_ours=len(missing) == len(wanted)
        )

    def group(self, group: str, topic: str) -> Group:
        """Where a group stands on a topic. A topic that is not there has no partitions."""
        places = self._places(topic)
        if not places:
            return Group(self._members(group), name=group)
        lows, highs = self._ends(places, OffsetSpec.earliest()), self._ends(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # the library's gap
        committed = self._committed(group, places)
        starts = {number: max(committed.get(number, 0), lows[number]) for number in highs}
        behind = {number: start for number, start in starts.items() if start < highs[number]}
        ages = self._ages(topic, behind) if behind else {}
        waiting = {
            number: Waiting(highs[number] - start, ages.get(number))
            for number, start in behind.items()
            # Nothing is read there though the log goes on: markers of transactions, not records.
            if ages.get(number, 0.0) is not None
        }
        return Group(self._members(group), committed, waiting, sum(highs.values()), group)

    def letters(self, topic: str) -> Letters:
        """How many dead letters the topic holds, and why the last one is there."""
        places = self._places(topic)
        if not places:
            return Letters(0)
        lows, highs = self._ends(places, OffsetSpec.earliest()), self._ends(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # the same
        records = sum(highs[number] - lows[number] for number in highs)
        if not records:
            return Letters(0)
        if self._letters is None or self._letters[0] != highs:
            last = {number: high - 1 for number, high in highs.items() if high > lows[number]}
            found = [one for one in self._firsts(topic, last).values() if one is not None]
            latest = max(found, key=_milliseconds, default=None)
            self._letters = (highs, _reason(latest), None if latest is None else _milliseconds(latest) / 1000)
        _, reason, at = self._letters
        return Letters(records, reason, None if at is None else max(time.time() - at, 0.0), firsts=lows)

    def _places(self, topic: str) -> list[TopicPartition]:
        try:
            found = self._admin.list_topics(timeout=_SECONDS).topics.get(topic)
        except KafkaException as error:
            raise translate(error.args[0]) from error
        return [] if found is None else [TopicPartition(topic, number) for number in sorted(found.partitions)]

    def _ends(self, places: list[TopicPartition], end: OffsetSpec) -> dict[int, int]:
        asked = self._admin.list_offsets(dict.fromkeys(places, end), request_timeout=_SECONDS)
        return {place.partition: int(_answer(answer).offset) for place, answer in asked.items()}

    def _committed(self, group: str, places: list[TopicPartition]) -> dict[int, int]:
        asked = self._admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, places)], request_timeout=_SECONDS
        )
        try:
            found = _answer(asked[group]).topic_partitions
        except _Gone:
            return {}
        return {place.partition: place.offset for place in found if place.offset >= 0}

    def _members(self, group: str) -> int:
        asked = self._admin.describe_consumer_groups([group], request_timeout=_SECONDS)
        try:
            described = _answer(asked[group])
        except _Gone:
            return 0
        # Tansu names no member, but says that there are some.
        return len(described.members) or int(described.state == ConsumerGroupState.STABLE)

    def _ages(self, topic: str, starts: Mapping[int, int]) -> dict[int, float | None]:
        """Seconds since the record at each place arrived; None where the log has no further record, and without an
        entry where nothing came in time."""
        now = time.time()
        ages: dict[int, float | None] = {}
        for number, message in self._firsts(topic, starts).items():
            if message is None:
                ages[number] = None
            elif message.timestamp()[0] != TIMESTAMP_NOT_AVAILABLE:
                ages[number] = max(now - _milliseconds(message) / 1000, 0.0)
        return ages

    def _firsts(self, topic: str, starts: Mapping[int, int]) -> dict[int, Message | None]:
        """The first record from each place on; None where there is none. What does not come in time is left out.
        Raises Misconfigured where this user may not read."""
        consumer = Consumer(
            {
                **self._config,
                "group.id": "taximeter-status",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.message.max.bytes": 65_536,
                "queued.min.messages": 1,
                "fetch.wait.max.ms": 50,
            },
            logger=QUIET,
        )
        found: dict[int, Message | None] = {}
        try:
            consumer.assign([TopicPartition(topic, number, offset) for number, offset in starts.items()])
            until = time.monotonic() + _FETCH_SECONDS
            while len(found) < len(starts) and time.monotonic() < until:
                for message in consumer.consume(500, _POLL_SECONDS):
                    number, error = message.partition(), message.error()
                    if error is not None and error.code() in _REFUSED:
                        raise translate(error)
                    if number is None or number in found:
                        continue
                    if error is None:
                        found[number] = message
                    elif error.code() == _EOF:
                        found[number] = None
        finally:
            consumer.close()
        return found


class _Gone(Retryable):
    """There is no such group."""


def _answer(asked: Future[Any]) -> Any:
    try:
        return asked.result(_SECONDS)
    except KafkaException as error:
        failed: KafkaError = error.args[0]
        if failed.name() == _GROUP_GONE:
            raise _Gone("no such group") from error
        raise translate(failed) from error
    except TimeoutError as error:
        raise Retryable("Kafka does not answer in time") from error


def _milliseconds(message: Message) -> int:
    return message.timestamp()[1]


def _reason(message: Message | None) -> str:
    headers = [] if message is None else message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    value = dict(pairs).get("taximeter-reason")
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
