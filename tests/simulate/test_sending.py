"""Simulated events into a real Kafka."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition
from tests.conftest import TopicNames

from taximeter_infra.simulate.generator import events
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_infra.simulate.sending import CONTENT_TYPE, EventSender, Pacing
from taximeter_infra.topics import ensure_topics
from taximeter_schemas import avro_files, codec, frame
from taximeter_schemas.errors import Misconfigured, Retryable
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.registry import PackagedRegistry
from taximeter_schemas.settings import KafkaSettings

PLAN = SimulationPlan(300, seed=5)


def test_pacing_by_rate_and_by_speed() -> None:
    """With a rate the n-th event is due after n / rate seconds; with a speed the simulated distance shrinks by it."""
    assert Pacing(rate=50).due(100, 7.0) == 2.0
    assert Pacing(speed=60).due(100, 30.0) == 0.5
    assert Pacing().due(100, 30.0) == 0.0


def test_nobody_there_is_retryable() -> None:
    """An address where nobody listens is said plainly, with what to do."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        kafka = KafkaSettings(
            bootstrap_servers=f"127.0.0.1:{unused.getsockname()[1]}",
            options={"socket.connection.setup.timeout.ms": "1000"},
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("taximeter_consumers.kafka_client.LOOK_SECONDS", 1.0)
            with pytest.raises(Retryable, match="taximeter up"):
                EventSender(kafka, PackagedRegistry(), "metering.events")


@pytest.mark.integration
def test_a_missing_topic_names_the_mend(kafka_settings: KafkaSettings, topic_names: TopicNames) -> None:
    """Nothing is created on the way; the message says how to."""
    with pytest.raises(Misconfigured, match="taximeter topics create"):
        EventSender(kafka_settings, PackagedRegistry(), topic_names.events)


@pytest.mark.integration
def test_every_event_arrives_as_the_sdk_would_send_it(kafka_settings: KafkaSettings, topic_names: TopicNames) -> None:
    """Key, value, headers and the order within a run are right, and all are acknowledged."""
    ensure_topics(kafka_settings, topic_names.settings(partitions=3))
    progress: list[int] = []
    sent = EventSender(kafka_settings, PackagedRegistry(), topic_names.events).send(
        events(PLAN), Pacing(), progress.append
    )
    assert (sent.produced, sent.acknowledged, sent.unacknowledged) == (300, 300, 0)
    assert progress[-1] == 300
    messages = _all_of(kafka_settings, topic_names.events, 3, 300)
    stored = {key: [value for other, value, _ in messages if other == key] for key, _, _ in messages}
    made: dict[bytes, list[bytes]] = {}
    for event in events(PLAN):
        made.setdefault(event.run_id.encode(), []).append(codec.encode(event, frame.header(avro_files.CURRENT_VERSION)))
    assert stored == made
    assert messages[0][2]["content-type"] == CONTENT_TYPE.encode()
    assert messages[0][2]["taximeter-sdk"].startswith(b"simulate/")


@pytest.mark.integration
def test_an_interrupt_counts_what_was_acknowledged(kafka_settings: KafkaSettings, topic_names: TopicNames) -> None:
    """Ctrl-C ends the making of events; those handed over before are waited for."""
    ensure_topics(kafka_settings, topic_names.settings(partitions=1))

    def interrupted() -> Iterator[MeterEvent]:
        for index, event in enumerate(events(PLAN)):
            if index == 120:
                signal.raise_signal(signal.SIGINT)
            yield event

    sent = EventSender(kafka_settings, PackagedRegistry(), topic_names.events).send(
        interrupted(), Pacing(), lambda _: None
    )
    assert sent.interrupted
    assert sent.acknowledged == sent.produced == 120


@pytest.mark.integration
def test_events_that_the_broker_refuses_are_not_acknowledged(
    kafka_settings: KafkaSettings, topic_names: TopicNames
) -> None:
    """A broker that does not take them in time leaves them uncounted, with its reason."""
    ensure_topics(kafka_settings, topic_names.settings(partitions=1))
    impatient = replace_options(kafka_settings, {"message.timeout.ms": "1", "linger.ms": "0"})
    sent = EventSender(impatient, PackagedRegistry(), topic_names.events).send(events(PLAN), Pacing(), lambda _: None)
    assert sent.produced == sent.acknowledged + sent.failed
    assert sent.unacknowledged == sent.failed
    assert bool(sent.reason) == bool(sent.failed)


def replace_options(kafka: KafkaSettings, options: dict[str, str]) -> KafkaSettings:
    """The same Kafka with other options of librdkafka."""
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, options=options)


def _all_of(
    kafka: KafkaSettings, topic: str, partitions: int, count: int
) -> list[tuple[bytes, bytes, dict[str, bytes]]]:
    config = {**kafka.client_config(), "group.id": topic, "enable.auto.commit": False}
    consumer = Consumer(config)
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
        found = []
        while len(found) < count:
            found += [message for message in consumer.consume(count, 1.0) if message.error() is None]
        return [(message.key(), message.value(), dict(message.headers())) for message in found]
    finally:
        consumer.close()
