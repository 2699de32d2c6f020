"""A pipeline of the test's own, a sink that has run over it, and audits of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from confluent_kafka import Producer
from tests.conftest import TopicNames
from tests.sink.conftest import Pipeline

from taximeter_consumers.audit import IngestReport, Scope, open_audit
from taximeter_consumers.clickhouse import connect
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.registry import PackagedRegistry
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings


class Audited(Pipeline):
    """A pipeline with two partitions that can be audited."""

    def audit(self, *, deep: bool = False, in_log: bool = False, group: str | None = None) -> IngestReport:
        """What `taximeter audit --ingest` finds."""
        scope = Scope(
            self.topics.events, self.topics.dead_letters, group or self.group, frozenset(), deep=deep, in_log=in_log
        )
        with open_audit(scope, self.kafka, self.clickhouse, PackagedRegistry()) as audit:
            return audit.run()

    def produce_in_transactions(self, values: Sequence[bytes], each: int, *, aborted: int = 0) -> None:
        """`each` values in a transaction, all on partition 0; the first `aborted` transactions are taken back."""
        producer = Producer({**self.kafka.client_config(), "transactional.id": self.group})
        producer.init_transactions(30)
        for number, begin in enumerate(range(0, len(values), each)):
            producer.begin_transaction()
            for value in values[begin : begin + each]:
                producer.produce(self.topics.events, value=value, partition=0)
            assert producer.flush(30) == 0
            if number < aborted:
                producer.abort_transaction(30)
            else:
                producer.commit_transaction(30)

    def mutate(self, table: str, change: str) -> None:
        """Changes stored rows behind the sink's back, and waits until it is done."""
        self.clickhouse.execute(f"ALTER TABLE {table} {change}", settings={"mutations_sync": 1})


@pytest.fixture
def clickhouse_settings(migrated_database: ClickHouseSettings) -> ClickHouseSettings:
    """Every test here works in a migrated database."""
    return migrated_database


@pytest.fixture
def pipeline(
    kafka_settings: KafkaSettings, clickhouse_settings: ClickHouseSettings, topic_names: TopicNames
) -> Iterator[Audited]:
    """Topics with two partitions and an empty database."""
    topics = topic_names.settings(partitions=2)
    ensure_topics(kafka_settings, topics)
    with closing(connect(clickhouse_settings)) as clickhouse:
        yield Audited(kafka_settings, clickhouse_settings, topics, topic_names.group, clickhouse)
