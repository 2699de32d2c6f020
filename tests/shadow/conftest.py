"""A small live pipeline: a topic, a database that a sink and ticks fill, and shadows of it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pytest
from confluent_kafka import Producer
from tests.databases import Databases
from tests.rollups.book import small_book

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.pricing.book import append_rates
from taximeter_consumers.replay.topic_range import TopicRange
from taximeter_consumers.replay.topic_reader import TopicReader
from taximeter_consumers.rollups.tick import tick
from taximeter_consumers.shadow import database
from taximeter_consumers.shadow.catch_up import Caught, Reading, catch_up
from taximeter_consumers.shadow.database import ChosenBook, Pair
from taximeter_consumers.sink.log_identity import LogIdentity
from taximeter_consumers.sink.service import SinkEnvironment, run_sink
from taximeter_consumers.sink.settings import SinkSettings
from taximeter_infra.migrate import migrate, single_server
from taximeter_infra.simulate.generator import events
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_infra.stack.plan import StackAddresses
from taximeter_infra.topics import ensure_topics
from taximeter_schemas import avro_files, codec, frame
from taximeter_schemas.registry import PackagedRegistry
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

EVENTS = 1_000
_HEADER = frame.header(avro_files.CURRENT_VERSION)


class Killed(BaseException):
    """Stands for kill -9: nobody catches it."""


@dataclass(frozen=True)
class Live:
    """What runs: its addresses, and the connection of the test."""

    kafka: KafkaSettings
    topics: TopicSettings
    settings: ClickHouseSettings
    clickhouse: ClickHouse

    def produce(self, seed: int, count: int) -> None:
        """Simulated events onto the topic, all acknowledged."""
        producer = Producer({**self.kafka.client_config(), "linger.ms": 5})
        for event in events(SimulationPlan(count, seed=seed)):
            producer.produce(self.topics.events, key=event.run_id, value=codec.encode(event, _HEADER))
        producer.produce(self.topics.events, key="bad", value=b"garbage")
        assert producer.flush(60) == 0

    def store(self) -> None:
        """A sink until it has caught up."""
        sink = SinkSettings(group_id=self.topics.events, session_timeout_ms=6_000, poison_rate=1)
        environment = SinkEnvironment(self.kafka, self.settings, PackagedRegistry(), self.topics)
        run_sink(environment, sink, threading.Event(), until_caught_up=True)

    def roll_up(self) -> None:
        """Ticks until nothing is new."""
        while tick(self.clickhouse).version is not None:
            pass

    def more(self, seed: int, count: int) -> None:
        """Further events, stored and rolled up."""
        self.produce(seed, count)
        self.store()
        self.roll_up()

    @contextmanager
    def shadow(self, name: str, book: ChosenBook | None = None) -> Iterator[Pair]:
        """A shadow of it, dropped at the end."""

        def migrated(settings: ClickHouseSettings) -> object:
            return migrate(settings, single_server())

        with closing(database.make(self.settings, name, migrated, book)) as pair:
            try:
                yield pair
            finally:
                pair.shadow.execute(f"DROP DATABASE {pair.shadow.database} SYNC")

    def fill(self, pair: Pair, wanted: TopicRange | None = None, *, copy_missing: bool = False) -> Caught:
        """Replays the topic into a shadow."""
        with closing(TopicReader(self.kafka, self.topics.events)) as reader:
            log = LogIdentity(self.kafka, self.topics.events, seen=False).log
            reading = Reading(reader, log, wanted or TopicRange(), PackagedRegistry())
            return catch_up(pair, reading, copy_missing=copy_missing)

    def totals(self, one: ClickHouse | None = None) -> tuple[object, ...]:
        """What everybody sees: events and rows of the rollups, tokens, money, and the log that is accounted for."""
        sql = """
        SELECT (SELECT count() FROM events), sum(events), count(), sum(input_tokens), sum(output_tokens),
            sum(cost_usd), (SELECT sum(cost_usd) FROM charges), (SELECT sum(records) FROM ingest_batches)
        FROM run_costs
        """
        return (one or self.clickhouse).rows(sql)[0]


@pytest.fixture(scope="session")
def live(local_stack: StackAddresses, databases: Databases) -> Iterator[Live]:
    """One for all tests; each leaves it whole, and none counts on absolute numbers."""
    kafka = KafkaSettings(bootstrap_servers=local_stack.bootstrap_servers, security_protocol="plaintext")
    name = f"test.{secrets.token_hex(6)}.events"
    topics = TopicSettings(events=name, dead_letters=f"{name}.dlq", partitions=2)
    ensure_topics(kafka, topics)
    with databases.borrowed() as settings, closing(connect(settings)) as clickhouse:
        append_rates(clickhouse, small_book())
        made = Live(kafka, topics, settings, clickhouse)
        made.more(11, EVENTS)
        yield made


def failing_at(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call that comes to `place` ends there and then, as by kill -9: nothing is called off."""

    def reached(name: str) -> None:
        if name == place:
            raise Killed

    monkeypatch.setattr("taximeter_consumers.failpoints.reached", reached)
    monkeypatch.setattr("taximeter_consumers.failpoints.is_armed", lambda name: name == place)
    monkeypatch.setattr("taximeter_consumers.shadow.swap.call_off", lambda _pair: None)
