"""The service's membership in its group: which partitions it owns, and how they come and go.

A partition that is assigned is not read before its state is restored; the others are decided meanwhile. It is given to
librdkafka only then, by the number of its offset: told to begin at "the end", it asks the broker where that is, and an
answer that comes late moves it there though it was told another offset by then, past records that nobody saw.

librdkafka calls back from within a poll or a close, and a callback never raises into it: what goes wrong comes out of
the next `poll`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from taximeter_consumers.kafka_errors import translate
from taximeter_consumers.quota.service.owner import Owner
from taximeter_consumers.quota.service.predecessor import claim_of
from taximeter_consumers.sink.group import behind
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taximeter_consumers.quota.service.restore import Restored
    from taximeter_consumers.quota.service.restorer import Restorer

_log = structlog.get_logger()
_AT_ONCE: Final = 500
_LOOK_SECONDS: Final = 15.0


class Membership:
    """From `subscribe` to the consumer's close.

    `leaving` is called with partitions that are about to be given back, while they are still owned."""

    def __init__(self, consumer: Consumer, topic: str, restorer: Restorer) -> None:
        self.owners: dict[int, Owner] = {}
        self.rebalances = 0
        self.missing = 0
        self._consumer = consumer
        self._topic = topic
        self._restorer = restorer
        self._leaving: Callable[[Sequence[int]], None] = lambda _: None
        self._failure: Exception | None = None
        self._closing = False
        self.held = False
        """Whether nothing is fetched."""

    def subscribe(self, leaving: Callable[[Sequence[int]], None]) -> None:
        """Joins the group."""
        self._leaving = leaving
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def close(self) -> None:
        """From here on partitions are given back at once."""
        self._closing = True

    def leave(self) -> None:
        """Leaves the group, for good."""
        self.close()
        leave_group(self._consumer)

    def poll(self, timeout_seconds: float) -> list[Message]:
        """The next records, in order. Raises Retryable, Fenced or Misconfigured, and what went wrong in a callback."""
        try:
            first = self._consumer.poll(timeout_seconds)
            messages = [] if first is None else [first, *self._consumer.consume(_AT_ONCE, 0)]
        except KafkaException as error:
            raise translate(error.args[0]) from error
        if self._failure is not None:
            raise self._failure
        return self._in_order(messages)

    def notice(self, message: Message, error: KafkaError) -> None:
        """Takes an error event of a poll, in its place between the records."""
        number = message.partition()
        owner = self.owners.get(number if number is not None else -1)
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes begin with an underscore
            if owner is not None:
                owner.at_end = True
        elif error.code() == KafkaError._AUTO_OFFSET_RESET and owner is not None:  # noqa: SLF001
            self._start_over(owner)
        else:
            failure = translate(error)
            if error.fatal() or not isinstance(failure, Retryable):
                raise failure
            _log.warning("Kafka reports an error", error=str(failure))

    def claim(self, taken: Sequence[Restored], transactional_id: str) -> None:
        """Tells whoever is next whose transactions to roll back, before there is one.

        Waits: told later than a checkpoint, it would set the offset back. Raises Retryable where it may come later."""
        places = [
            TopicPartition(self._topic, one.number, one.offset, claim_of(transactional_id, fresh=one.is_fresh))
            for one in taken
        ]
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() < 0:
                raise Retryable(f"Kafka does not say whose the partitions are ({error.args[0].name()})") from error
            # The group is about to change: whoever is next waits a little longer then, if there is need.
            _log.warning("not told whose the partitions are", error=str(translate(error.args[0])))

    def start(self, restored: Restored) -> Owner:
        """Reads on where a restored partition's state ends."""
        owner = self.owners[restored.number] = Owner(restored.number, restored.machine, restored.offset)
        self._begin(owner)
        if restored.missing:
            self._tell_missing(restored.number, restored.missing, restored.offset)
        return owner

    def token(self) -> object:
        """The group's token of this membership as it is now: it fences what is written under an older one."""
        return self._consumer.consumer_group_metadata()

    def hold(self, *, wait: bool) -> None:
        """Fetches no more (polling goes on), or again."""
        places = [TopicPartition(self._topic, number) for number in self.owners]
        if places:
            (self._consumer.pause if wait else self._consumer.resume)(places)
        self.held = wait

    def others_behind(self) -> bool:
        """Whether a partition of another member has commands without a checkpoint. Raises Retryable or
        Misconfigured."""
        return bool(behind(self._consumer, self._topic, apart_from=self.owners))

    def lag(self) -> int:
        """Commands that are in the log and not decided, as the last fetches saw it."""
        total = 0
        for number, owner in self.owners.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), cached=True)
            total += max(high - owner.machine.next_offset, 0)
        return total

    def _in_order(self, messages: Sequence[Message]) -> list[Message]:
        """Leaves out what comes after a record that was passed over: from there on all is read again."""
        again: set[int] = set()
        return [message for message in messages if not self._is_early(message, again)]

    def _is_early(self, message: Message, again: set[int]) -> bool:
        number, offset = message.partition(), message.offset()
        owner = self.owners.get(number if number is not None else -1)
        if owner is None or number is None or offset is None or number in again:
            return number in again
        error, expected = message.error(), owner.order.next_offset
        is_end = error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - see `notice`
        if error is not None and not is_end:
            return False
        where = {"partition": number, "from_offset": expected, "to_offset": offset - 1}
        if owner.order.takes(offset, is_end=is_end):
            if offset > expected:
                _log.info("the log has no commands there", **where)
            return False
        _log.warning("commands were passed over; reading them again", **where)
        again.add(number)
        self._go_to(owner, expected)
        return True

    def _begin(self, owner: Owner) -> None:
        """Reads where its order begins."""
        place = TopicPartition(self._topic, owner.number)
        try:
            self._consumer.incremental_assign([TopicPartition(self._topic, owner.number, owner.order.next_offset)])
            # librdkafka keeps a pause over a rebalance.
            self._consumer.resume([place])
        except KafkaException as error:
            raise translate(error.args[0]) from error

    def _go_to(self, owner: Owner, offset: int) -> None:
        """Reads on there."""
        try:
            self._consumer.incremental_unassign([TopicPartition(self._topic, owner.number)])
        except KafkaException as error:
            raise translate(error.args[0]) from error
        owner.order.go_to(offset)
        self._begin(owner)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self.rebalances += 1
            # None yet: see the top.
            consumer.incremental_assign([])
            if self._closing or not partitions:
                return
            for place in partitions:
                self._restorer.begin(place.partition)
            _log.info("partitions assigned", partitions=sorted(place.partition for place in partitions))
        except Exception as error:  # noqa: BLE001 - see the top
            self._keep(error)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = sorted(place.partition for place in partitions)
        try:
            self._restorer.forget(numbers)
            if not self._closing:
                self._leaving([number for number in numbers if number in self.owners])
            _log.info("partitions given back", partitions=numbers)
        except Exception as error:  # noqa: BLE001 - see the top
            self._keep(error)
        self._drop(consumer, partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        _log.warning("partitions lost", partitions=sorted(place.partition for place in partitions))
        self._drop(consumer, partitions)

    def _drop(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self._restorer.forget([place.partition for place in partitions])
            read = [place for place in partitions if self.owners.pop(place.partition, None) is not None]
            # librdkafka waits for this, even for none, in a close without end.
            consumer.incremental_unassign(read)
        except KafkaException as error:
            self._keep(translate(error.args[0]))

    def _keep(self, error: Exception) -> None:
        self._failure = self._failure or error

    def _start_over(self, owner: Owner) -> None:
        """The offset to read next is not in the log any more: retention was faster than the service."""
        place = TopicPartition(self._topic, owner.number)
        try:
            low, _ = self._consumer.get_watermark_offsets(place, timeout=_LOOK_SECONDS)
        except KafkaException as error:
            raise translate(error.args[0]) from error
        if low <= owner.machine.next_offset:
            raise Retryable("the log is shorter than what was read of it")  # restoring says what is wrong, and the mend
        self._go_to(owner, low)
        self._tell_missing(owner.number, low - owner.machine.next_offset, low)

    def _tell_missing(self, number: int, missing: int, begins: int) -> None:
        self.missing += missing
        _log.error(
            "COMMANDS ARE MISSING: they were deleted before they were decided; going on where the log begins. Who sent"
            " them got no answer. Give the topic more retention than the longest outage",
            partition=number,
            missing=missing,
            log_begins=begins,
        )


def leave_group(consumer: Consumer) -> None:
    """Closes a consumer; twice does no harm."""
    with suppress(KafkaException, RuntimeError):
        consumer.close()
