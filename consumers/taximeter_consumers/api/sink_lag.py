"""How far the sinks are behind the log: what their group has committed, beside the ends of the partitions.

No group is joined and nothing is committed. Each question waits for two seconds at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from taximeter_consumers.api.readiness import Unread
from taximeter_consumers.kafka_client import QUIET, refused_settings
from taximeter_consumers.kafka_errors import translate
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_schemas.settings import KafkaSettings

_SECONDS: Final = 2.0


class KafkaSinkLag:
    """Looks at one topic with the eyes of one group. Raises Misconfigured for settings that Kafka's client refuses."""

    def __init__(self, kafka: KafkaSettings, topic: str, group: str) -> None:
        self._topic = topic
        config: dict[str, Any] = {
            **kafka.client_config(),
            "client.id": "taximeter-api",
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
        }
        try:
            self._consumer = Consumer(config, logger=QUIET)
        except KafkaException as error:
            raise refused_settings(error) from error

    def look(self) -> Unread:
        """Raises Retryable or Misconfigured where Kafka does not answer."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=_SECONDS).topics[self._topic]
            if found.error is not None:
                raise translate(found.error)
            places = [TopicPartition(self._topic, number) for number in sorted(found.partitions)]
            committed = {
                place.partition: max(place.offset, 0) for place in self._consumer.committed(places, timeout=_SECONDS)
            }
            ends = {place.partition: self._consumer.get_watermark_offsets(place, timeout=_SECONDS) for place in places}
        except KafkaException as error:
            raise translate(error.args[0]) from error
        if any(end is None for end in ends.values()):
            raise Misconfigured("Kafka does not tell where the log ends", mend="look at the broker")
        unread = sum(max(high - max(committed[number], low), 0) for number, (low, high) in ends.items())
        return Unread(unread, committed)

    def close(self) -> None:
        """Lets go of the connections."""
        self._consumer.close()
