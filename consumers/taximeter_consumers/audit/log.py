"""What the broker says of the log: what the group has committed, and the first record at a place.

No group is joined and nothing is committed. A broker that stops answering ends the audit with Retryable.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from taximeter_consumers.kafka_client import LOOK_SECONDS, QUIET, refused_settings
from taximeter_consumers.kafka_errors import translate
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Message

    from taximeter_consumers.audit.tiling import Stretch
    from taximeter_schemas.settings import KafkaSettings

_EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - librdkafka's own codes begin with an underscore
_POLL_SECONDS = 1.0
_STALL_SECONDS = 30.0


class LogProbe:
    """Short looks at one topic, with the eyes of one group. Close it after use."""

    def __init__(self, kafka: KafkaSettings, topic: str, group: str) -> None:
        self._topic = topic
        config: dict[str, Any] = {
            # A look wants one record: little is fetched, and nothing ahead.
            "queued.min.messages": 1,
            "fetch.message.max.bytes": 65_536,
            "fetch.wait.max.ms": 50,
            # With so small a queue the client would pause for a second now and then: 4 ms a look, or 300.
            "fetch.queue.backoff.ms": 0,
            **kafka.client_config(),
            "client.id": "taximeter-audit",
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        }
        try:
            self._consumer = Consumer(config, logger=QUIET)
        except KafkaException as error:
            raise refused_settings(error) from error

    def close(self) -> None:
        """Lets go of the connections."""
        self._consumer.close()

    def committed(self, partitions: Iterable[int]) -> dict[int, int | None]:
        """Below which offset the group has stored everything; None where it has committed nothing."""
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        try:
            found = self._consumer.committed(places, timeout=LOOK_SECONDS) if places else []
        except KafkaException as error:
            raise translate(error.args[0]) from error
        for place in found:
            if place.error is not None:
                raise translate(place.error)
        return {place.partition: place.offset if place.offset >= 0 else None for place in found}

    def first_record(self, partition: int, stretch: Stretch) -> Message | None:
        """The first record of a stretch; None where it holds none (markers of transactions, compacted offsets).

        Raises Retryable, also where the log does not hold the stretch's first offset any more.
        """
        self._consumer.assign([TopicPartition(self._topic, partition, stretch.first)])
        until = time.monotonic() + _STALL_SECONDS
        while time.monotonic() < until:
            message = self._consumer.poll(_POLL_SECONDS)
            if message is None or message.partition() != partition or message.topic() != self._topic:
                continue
            error, offset = message.error(), message.offset()
            if error is not None and error.code() != _EOF:
                raise translate(error)
            if offset is None or offset < stretch.first:
                continue
            if offset > stretch.last:
                return None
            # The word of the end comes too early from some brokers (Tansu); only one behind the stretch counts.
            if error is None:
                return message
        raise Retryable(f"Kafka sent nothing of {self._topic}, partition {partition}, for {_STALL_SECONDS:.0f} s")
