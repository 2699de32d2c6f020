"""Taking a partition over: its state as of the last checkpoint, and the offset at which the log goes on.

State and offset were written in one transaction, whose end may show in one place before the other. So both are read
until they agree. A crash or a stop during it leaves nothing behind: whoever is next begins again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from taximeter_consumers.kafka_errors import translate
from taximeter_consumers.quota.machine.machine import Machine
from taximeter_consumers.quota.machine.records import PARTITION, Meta, meta_of
from taximeter_consumers.quota.service import clients
from taximeter_consumers.quota.service.predecessor import Predecessor
from taximeter_schemas.errors import Fenced, Misconfigured, Retryable

if TYPE_CHECKING:
    from taximeter_schemas.settings import KafkaSettings, TopicSettings

_log = structlog.get_logger()
_AT_ONCE: Final = 2_000
_POLL_SECONDS: Final = 0.05
_READ_SECONDS: Final = 15.0
# A commit becomes visible within milliseconds; longer, and its process is likely dead.
_PATIENCE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Site:
    """Where the state lies. `partitions`: of the commands."""

    kafka: KafkaSettings
    topics: TopicSettings
    group: str
    partitions: int
    timeout_seconds: float


@dataclass(frozen=True)
class Restored:
    """A machine as of `offset`. `missing`: commands that were deleted before they were read."""

    number: int
    machine: Machine
    offset: int
    missing: int = 0
    is_fresh: bool = False
    """There was no state."""


def restore(site: Site, number: int, gone: Callable[[], bool]) -> Restored:
    """The partition's state. Raises Fenced if it was given away meanwhile (`gone`), Retryable or Misconfigured."""
    reading = _Reading(site, number)
    try:
        return reading.restored(reading.agreed(gone))
    except KafkaException as error:
        raise translate(error.args[0]) from error
    finally:
        reading.close()


class _Reading:
    def __init__(self, site: Site, number: int) -> None:
        self._site = site
        self._number = number
        self._records: dict[str, bytes] = {}
        self._predecessor = Predecessor(site.kafka, site.group, site.topics, number)
        self._consumer: Consumer = clients.reader(site.kafka, site.group)
        self._consumer.assign([TopicPartition(site.topics.quota_state, number, OFFSET_BEGINNING)])

    def close(self) -> None:
        self._consumer.close()

    def agreed(self, gone: Callable[[], bool]) -> int | None:
        """The offset on which state and group agree; None: there is neither."""
        began = time.monotonic()
        self._read_to_end()
        while not gone():
            standing = self._predecessor.standing()
            meta = self._meta()
            waited = time.monotonic() - began
            if standing.stable and standing.offset == (meta.next_offset if meta else None):
                return standing.offset
            if standing.stable and meta is None and standing.fresh:
                return standing.offset
            if standing.stable and standing.offset is None and meta and waited > _PATIENCE_SECONDS:
                _log.warning(
                    "the group has no offset here, so the state's own counts; offsets of a group that was long away"
                    " expire, and another group has its own",
                    partition=self._number,
                    offset=meta.next_offset,
                )
                return meta.next_offset
            if waited > self._site.timeout_seconds:
                raise self._disagreement(standing.offset, meta, stable=standing.stable)
            if waited > _PATIENCE_SECONDS:
                self._predecessor.roll_back(standing.transactional_id)
            self._take(_POLL_SECONDS)
        raise Fenced("the partition was given away while it was taken over")

    def restored(self, offset: int | None) -> Restored:
        """The machine, and where the log goes on."""
        commands = self._site.topics.quota_commands
        low, high = self._consumer.get_watermark_offsets(TopicPartition(commands, self._number), timeout=_READ_SECONDS)
        if offset is not None and offset > high:
            raise Misconfigured(
                f"the state of partition {self._number} goes up to offset {offset} of {commands}, which ends at {high}:"
                " the topic was made anew, or a broker lost its end",
                mend=f"let every quota service end, then delete the topic {self._site.topics.quota_state} and the"
                f" group {self._site.group}, and create it anew with `taximeter topics create`; open holds are lost by"
                " it, use is not",
            )
        machine = Machine.restored(self._number, self._records, self._site.partitions)
        start = low if offset is None else max(offset, low)
        missing = start - (start if offset is None else offset)
        return Restored(self._number, machine, start, missing, is_fresh=not self._records)

    def _meta(self) -> Meta | None:
        return meta_of(self._records[PARTITION]) if PARTITION in self._records else None

    def _read_to_end(self) -> None:
        """Up to the end of what is committed now."""
        heard = time.monotonic()
        while True:
            taken = self._take(_POLL_SECONDS)
            if taken is None:
                return
            if taken:
                heard = time.monotonic()
            elif time.monotonic() - heard > _READ_SECONDS:
                raise Retryable("the state of quotas cannot be read: Kafka is silent")

    def _take(self, timeout_seconds: float) -> int | None:
        """Takes what is there; how many records. None: the end was reached."""
        ended, taken = False, 0
        first = self._consumer.poll(timeout_seconds)
        for message in [] if first is None else [first, *self._consumer.consume(_AT_ONCE, 0)]:
            error = message.error()
            if error is None:
                key, value = (message.key() or b"").decode(), message.value()
                taken += 1
                if value is None:
                    self._records.pop(key, None)
                else:
                    self._records[key] = value
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes begin so
                ended = True
            else:
                failure = translate(error)
                if error.fatal() or isinstance(failure, Misconfigured | Fenced):
                    raise failure
        return None if ended else taken

    def _disagreement(self, offset: int | None, meta: Meta | None, *, stable: bool) -> Misconfigured | Retryable:
        topics, group = self._site.topics, self._site.group
        where = f"partition {self._number} of {topics.quota_commands}"
        if not stable:
            return Retryable(
                f"a transaction about {where} or {topics.quota_state} is still open; the broker gives it up by itself,"
                " unless it has forgotten it: kafka-transactions.sh find-hanging names it, and abort ends it"
            )
        if meta is None:
            return Misconfigured(
                f"group {group} has read {where} up to offset {offset}, but {topics.quota_state} knows nothing of it",
                mend=f"let every quota service end and delete the group's offsets (kafka-consumer-groups.sh"
                f" --delete-offsets --group {group} --topic {topics.quota_commands}): then what is still in the log is"
                " decided again from its beginning",
            )
        return Misconfigured(
            f"group {group} stands at offset {offset} of {where}, but its state at {meta.next_offset}:"
            " somebody moved the offset",
            mend=f"let every quota service end and set it back (kafka-consumer-groups.sh --reset-offsets"
            f" --to-offset {meta.next_offset} --group {group}"
            f" --topic {topics.quota_commands}:{self._number} --execute)",
        )
