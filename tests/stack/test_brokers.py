"""Both brokers of the local stack, asked the same things; where they differ, the difference is stated."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from tests.conftest import TopicNames

from taximeter_infra.stack.kafka import KafkaPart
from taximeter_infra.stack.kafka_jars import kafka_version
from taximeter_infra.stack.part import Part
from taximeter_infra.stack.plan import StackAddresses
from taximeter_infra.stack.room import free_ports
from taximeter_infra.stack.supervisor import Supervisor
from taximeter_infra.stack.tansu import TansuPart
from taximeter_schemas.settings import KafkaSettings

pytestmark = pytest.mark.integration
SECONDS = 20.0


def round_trip(config: dict[str, str], topic: str, group: str) -> TopicPartition:
    """Create the topic, send one message, read it, commit with metadata; what the broker then says was committed."""
    creating = AdminClient({**config})
    creating.create_topics([NewTopic(topic, 1, 1)], operation_timeout=SECONDS)[topic].result(SECONDS)
    producer = Producer(config)
    producer.produce(topic, b"body", b"key")
    assert producer.flush(SECONDS) == 0
    # Tansu hands out partitions after half a session, so the session is the shortest that Kafka allows.
    reading = {"group.id": group, "auto.offset.reset": "earliest", "session.timeout.ms": 6000}
    consumer = Consumer({**config, **reading, "enable.auto.commit": False})
    try:
        consumer.subscribe([topic])
        messages = consumer.consume(1, SECONDS)
        assert [(message.key(), message.value()) for message in messages] == [(b"key", b"body")]
        consumer.commit(offsets=[TopicPartition(topic, 0, 1, metadata="intent 1..9")], asynchronous=False)
        return consumer.committed([TopicPartition(topic, 0)], timeout=SECONDS)[0]
    finally:
        consumer.close()


def test_kafka_keeps_commit_metadata(
    local_stack: StackAddresses, kafka_settings: KafkaSettings, topic_names: TopicNames
) -> None:
    """Apache Kafka gives back the metadata of an offset commit: the sink's intents rest on it."""
    if local_stack.broker_product != "Apache Kafka":
        pytest.skip("no Java 17 here, so the stack runs Tansu, which drops commit metadata")
    assert local_stack.broker_version == kafka_version()
    committed = round_trip(kafka_settings.client_config(), topic_names.events, topic_names.group)
    assert (committed.offset, committed.metadata) == (1, "intent 1..9")


def test_tansu_round_trip(tmp_path: Path) -> None:
    """Tansu starts, carries a message and keeps the offset of a commit, but not its metadata."""
    part = TansuPart(tmp_path, *free_ports(1))
    supervisor = Supervisor(lambda _: None)
    supervisor.start([part])
    try:
        committed = round_trip({"bootstrap.servers": f"127.0.0.1:{part.port}"}, "numbers", "readers")
    finally:
        supervisor.stop()
    assert committed.offset == 1
    assert not committed.metadata


def test_kafka_keeps_topics_on_other_ports(local_stack: StackAddresses, tmp_path: Path) -> None:
    """A stopped Kafka started again on other ports has its topics and messages still."""
    if local_stack.broker_product != "Apache Kafka":
        pytest.skip("no Java 17 here")

    def run(part: Part, port: int) -> int:
        config = {"bootstrap.servers": f"127.0.0.1:{port}"}
        supervisor = Supervisor(lambda _: None)
        supervisor.start([part])
        try:
            if "numbers" not in AdminClient({**config}).list_topics(timeout=SECONDS).topics:
                round_trip(config, "numbers", "readers")
            consumer = Consumer({**config, "group.id": "readers"})
            high = consumer.get_watermark_offsets(TopicPartition("numbers", 0), timeout=SECONDS)[1]
            consumer.close()
            return int(high)
        finally:
            supervisor.stop()

    for _ in range(2):
        port, controller = free_ports(2)
        assert run(KafkaPart(tmp_path, port, controller, lambda _: None), port) == 1
