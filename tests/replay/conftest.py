"""One topic with 5,000 simulated events and a few messages that nobody can decode."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import pytest
from confluent_kafka import Producer

from taximeter_infra.simulate.generator import events
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_infra.simulate.sending import EventSender, Pacing
from taximeter_infra.stack.plan import StackAddresses
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.registry import PackagedRegistry
from taximeter_schemas.settings import KafkaSettings, TopicSettings

BAD = (b"garbage", b"\x00\x00\x00\x00\x63body", b"\x00\x00\x00\x00\x01\x02")
PARTITIONS = 3


@dataclass(frozen=True)
class FilledTopic:
    """The topic, how to reach it, and the events in it."""

    kafka: KafkaSettings
    name: str
    events: tuple[MeterEvent, ...]

    @property
    def messages(self) -> int:
        """Good and bad."""
        return len(self.events) + len(BAD)


@pytest.fixture(scope="session")
def filled_topic(local_stack: StackAddresses) -> FilledTopic:
    """Read only: many tests share it."""
    kafka = KafkaSettings(bootstrap_servers=local_stack.bootstrap_servers, security_protocol="plaintext")
    name = f"test.{secrets.token_hex(6)}.events"
    ensure_topics(kafka, TopicSettings(events=name, dead_letters=f"{name}.dlq", partitions=PARTITIONS))
    made = tuple(events(SimulationPlan(5_000, seed=21)))
    sent = EventSender(kafka, PackagedRegistry(), name).send(made, Pacing(), lambda _: None)
    assert sent.acknowledged == len(made)
    producer = Producer({**kafka.client_config()})
    for value in BAD:
        producer.produce(name, key=b"bad", value=value, headers=[("note", b"kept")])
    assert producer.flush(30) == 0
    return FilledTopic(kafka, name, made)


@pytest.fixture
def other_topic(filled_topic: FilledTopic) -> str:
    """An empty topic to copy into."""
    name = f"test.{secrets.token_hex(6)}.copy"
    ensure_topics(filled_topic.kafka, TopicSettings(events=name, dead_letters=f"{name}.dlq", partitions=PARTITIONS))
    return name
