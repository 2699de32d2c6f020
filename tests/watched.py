"""A Kafka client that notes where it was told to begin."""

from __future__ import annotations

from confluent_kafka import Consumer, TopicPartition


class Watched(Consumer):
    """The client as it is."""

    told: list[TopicPartition]

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """Notes them first."""
        self.told = [*getattr(self, "told", []), *partitions]
        super().incremental_assign(partitions)
