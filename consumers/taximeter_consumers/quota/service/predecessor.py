"""Where a group stands, and the transactions that a dead predecessor left open.

An open transaction hides what comes after it until the broker gives it up. Its id is in the metadata of the offset that
its process committed when it took the partition over, and with each checkpoint; whoever opens a producer under that id
rolls it back at once. A process that is alive after all notices that it was fenced, and joins anew.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from taximeter_consumers.kafka_client import QUIET
from taximeter_consumers.kafka_errors import translate
from taximeter_consumers.quota.service import clients
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_schemas.settings import KafkaSettings

_SECONDS: Final = 10.0
_FRESH: Final = "fresh:"
_log = structlog.get_logger()


@dataclass(frozen=True)
class Standing:
    """`offset`: None where the group has committed nothing. Not `stable`: a transaction about it is open."""

    offset: int | None
    transactional_id: str
    stable: bool
    fresh: bool = False
    """Its owner found no state and has written none yet."""


def claim_of(transactional_id: str, *, fresh: bool) -> str:
    """The metadata of an offset: whose transactions are about this partition."""
    return f"{_FRESH}{transactional_id}" if fresh else transactional_id


class Predecessor:
    """Asks about one partition of the commands."""

    def __init__(self, kafka: KafkaSettings, group: str, topic: str, partition: int) -> None:
        self._kafka = kafka
        self._group = group
        self._place = (topic, partition)
        self._admin = AdminClient({**kafka.client_config(), "client.id": "taximeter-quota-restore"}, logger=QUIET)
        self._rolled_back = ""

    def standing(self) -> Standing:
        """Raises Retryable or Misconfigured."""
        found = self._asked(stable=True)
        if found.error is None:
            return _standing(found, stable=True)
        if found.error.code() != KafkaError.UNSTABLE_OFFSET_COMMIT:
            raise translate(found.error)
        return _standing(self._asked(stable=False), stable=False)

    def roll_back(self, transactional_id: str) -> None:
        """Rolls back what the process of that id left open; once, and in silence where it cannot."""
        if not transactional_id or transactional_id == self._rolled_back:
            return
        self._rolled_back = transactional_id
        _log.info("rolling back what the owner before left open", partition=self._place[1])
        with suppress(KafkaException, Misconfigured):
            clients.transactional(self._kafka, transactional_id).init_transactions(_SECONDS)

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
