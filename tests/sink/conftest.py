"""A pipeline of the test's own on the local stack: topics, tables and a sink."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer
from tests.conftest import TopicNames

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.sink.counters import SinkCounters
from taximeter_consumers.sink.service import SinkEnvironment, run_sink
from taximeter_consumers.sink.settings import SinkSettings
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.registry import PackagedRegistry, Registry
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings


@dataclass(frozen=True)
class Pipeline:
    """Where this test's events go."""

    kafka: KafkaSettings
    clickhouse_settings: ClickHouseSettings
    topics: TopicSettings
    group: str
    clickhouse: ClickHouse

    def produce(self, values: Sequence[bytes | None], keys: Sequence[str] | None = None) -> None:
        """Puts whole Kafka values on the topic and waits until all are acknowledged."""
        failures: list[KafkaError] = []
        producer = Producer({**self.kafka.client_config(), "linger.ms": 5, "queue.buffering.max.messages": 1_000_000})
        for number, value in enumerate(values):
            producer.produce(
                self.topics.events,
                value=value,
                key=keys[number] if keys else f"run-{number // 20}",
                headers={"origin": b"test"},
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )
            producer.poll(0)
        assert producer.flush(60) == 0
        assert failures == []

    def settings(self, **given: object) -> SinkSettings:
        """Small and quick, for tests."""
        return SinkSettings.model_validate(
            {"group_id": self.group, "session_timeout_ms": 6_000, "batch_age_seconds": 0.05, **given}
        )

    def run(self, settings: SinkSettings | None = None, registry: Registry | None = None) -> SinkCounters:
        """Runs a sink in this process until it has caught up."""
        environment = SinkEnvironment(self.kafka, self.clickhouse_settings, registry or PackagedRegistry(), self.topics)
        return run_sink(environment, settings or self.settings(), threading.Event(), until_caught_up=True)

    def physical_rows(self) -> int:
        """Rows as they lie in storage, duplicates included."""
        return int(self.clickhouse.scalar("SELECT count() FROM stored_events"))

    def sums(self) -> tuple[object, ...]:
        """What everybody sees: count, distinct ids, tokens and money."""
        return self.clickhouse.rows(
            "SELECT count(), uniqExact(event_id), sum(input_tokens), sum(output_tokens), sum(reported_cost),"
            " sum(custom_units['pages']), sum(http_bytes_in) FROM events"
        )[0]

    def dead_letters(self) -> list[Message]:
        """All that lies in the dead-letter topic."""
        consumer = Consumer(
            {
                **self.kafka.client_config(),
                "group.id": f"{self.group}.dlq",
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe([self.topics.dead_letters])
        letters: list[Message] = []
        ended: set[int | None] = set()
        while len(ended) < 3:
            message = consumer.poll(30)
            assert message is not None, "the dead-letter topic does not answer"
            error = message.error()
            if error is None:
                letters.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
        consumer.close()
        return letters


@contextmanager
def live(pipeline: Pipeline, registry: Registry | None = None, **settings: object) -> Iterator[None]:
    """A sink on a thread, as a process runs it; stopped at the end. Raises what it died of."""
    stop, died = threading.Event(), list[BaseException]()
    environment = SinkEnvironment(
        pipeline.kafka, pipeline.clickhouse_settings, registry or PackagedRegistry(), pipeline.topics
    )

    def run() -> None:
        try:
            run_sink(environment, pipeline.settings(**{"stop_timeout_seconds": 0.5, **settings}), stop)
        except Exception as error:  # noqa: BLE001 - handed to the test below
            died.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert died == []


@pytest.fixture
def clickhouse_settings(migrated_database: ClickHouseSettings) -> ClickHouseSettings:
    """Every test here works in a migrated database."""
    return migrated_database


@pytest.fixture
def pipeline(
    kafka_settings: KafkaSettings, clickhouse_settings: ClickHouseSettings, topic_names: TopicNames
) -> Iterator[Pipeline]:
    """Topics with four partitions and an empty database."""
    topics = topic_names.settings(partitions=4)
    ensure_topics(kafka_settings, topics)
    with closing(connect(clickhouse_settings)) as clickhouse:
        yield Pipeline(kafka_settings, clickhouse_settings, topics, topic_names.group, clickhouse)
