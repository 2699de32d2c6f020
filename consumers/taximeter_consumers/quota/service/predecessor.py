"""Where a group stands, and the transactions that a dead predecessor left open.

An open transaction hides what comes after it until the broker gives it up. Its id is in the metadata of the offset that
its process committed when it took the partition over, and with each checkpoint; whoever opens a producer under that id
rolls it back at once. A process that is alive after all notices that it was fenced, and joins anew.

A broker that has no leader for a partition at the moment when it gives a transaction up notes it as done and never
tells the partition, which then stays closed for ever. Another transaction of the same producer that is about the same
places and is rolled back ends both.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, though its stubs do not re-export all
    AdminClient,
    OffsetSpec,
)

from taximeter_consumers.kafka_client import QUIET
from taximeter_consumers.kafka_errors import translate
from taximeter_consumers.quota.service import clients
from taximeter_consumers.quota.service.promise import PROBED, probe_of
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from confluent_kafka import Producer

    from taximeter_schemas.settings import KafkaSettings, TopicSettings

_SECONDS: Final = 10.0
_FRESH: Final = "fresh:"
_NOTHING: Final = b"rolled back"
_AGAIN_SECONDS: Final = 5.0
_one_at_a_time: Final = threading.Lock()
_log = structlog.get_logger()


@dataclass(frozen=True)
class Standing:
    """`offset`: None where the group has committed nothing. Not `stable`: a transaction about it or its state is
    open."""

    offset: int | None
    transactional_id: str
    stable: bool
    fresh: bool = False
    """Its owner found no state and has written none yet."""


def claim_of(transactional_id: str, *, fresh: bool) -> str:
    """The metadata of an offset: whose transactions are about this partition."""
    return f"{_FRESH}{transactional_id}" if fresh else transactional_id


class Predecessor:
    """Asks about one partition of the commands and its state."""

    def __init__(self, kafka: KafkaSettings, group: str, topics: TopicSettings, partition: int) -> None:
        self._kafka = kafka
        self._group = group
        self._place = (topics.quota_commands, partition)
        self._state = (topics.quota_state, partition)
        self._admin = AdminClient({**kafka.client_config(), "client.id": "taximeter-quota-restore"}, logger=QUIET)
        self._not_before = 0.0

    def standing(self) -> Standing:
        """Raises Retryable or Misconfigured."""
        found = self._asked(stable=True)
        if found.error is None:
            return _standing(found, stable=self._end(IsolationLevel.READ_COMMITTED) == self._end())
        if found.error.code() != KafkaError.UNSTABLE_OFFSET_COMMIT:
            raise translate(found.error)
        return _standing(self._asked(stable=False), stable=False)

    def roll_back(self, transactional_id: str) -> None:
        """Rolls back what the process of that id left open; once in a while, and in silence where it cannot. Where
        services look whether the broker keeps its word, it may be such a look that was cut short."""
        is_probed = self._place[1] == PROBED
        if time.monotonic() < self._not_before or not (transactional_id or is_probed):
            return
        _log.info("rolling back what the owner before left open", partition=self._place[1])
        if transactional_id:
            self._end_all(transactional_id, with_offset=True)
        if is_probed:
            self._end_all(probe_of(self._group), with_offset=False)
        self._not_before = time.monotonic() + _AGAIN_SECONDS

    def _end_all(self, transactional_id: str, *, with_offset: bool) -> None:
        # Each would fence the other: the owner before had several partitions.
        with _one_at_a_time, suppress(KafkaException, Misconfigured):
            producer = clients.transactional(self._kafka, transactional_id)
            producer.init_transactions(_SECONDS)
            # Here it is over, unless the broker has forgotten to tell the partitions.
            producer.begin_transaction()
            try:
                self._touch(producer, transactional_id, with_offset=with_offset)
            finally:
                producer.abort_transaction(_SECONDS)

    def _touch(self, producer: Producer, transactional_id: str, *, with_offset: bool) -> None:
        """What is rolled back: a deletion of nothing, and an offset."""
        topic, number = self._state
        producer.produce(topic, key=_NOTHING, value=None, partition=number)
        producer.flush(_SECONDS)
        if not with_offset:
            return
        with closing(clients.reader(self._kafka, self._group)) as reader:
            token = reader.consumer_group_metadata()
            producer.send_offsets_to_transaction([TopicPartition(*self._place, 0, transactional_id)], token, _SECONDS)

    def _end(self, level: IsolationLevel = IsolationLevel.READ_UNCOMMITTED) -> int:
        """Where the state ends for who reads so; what is committed ends before a transaction that is open."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library's gap
        try:
            (answer,) = self._admin.list_offsets(
                {TopicPartition(*self._state): latest}, isolation_level=level, request_timeout=_SECONDS
            ).values()
            found: int = answer.result().offset
        except KafkaException as error:
            raise translate(error.args[0]) from error
        return found

    def _asked(self, *, stable: bool) -> TopicPartition:
        asked = [ConsumerGroupTopicPartitions(self._group, [TopicPartition(*self._place)])]
        try:
            answers = self._admin.list_consumer_group_offsets(asked, require_stable=stable, request_timeout=_SECONDS)
            found: TopicPartition = answers[self._group].result().topic_partitions[0]
        except KafkaException as error:
            raise translate(error.args[0]) from error
        return found


def _standing(found: TopicPartition, *, stable: bool) -> Standing:
    told = found.metadata or ""
    offset = found.offset if found.offset >= 0 else None
    return Standing(offset, told.removeprefix(_FRESH), stable, fresh=told.startswith(_FRESH))
