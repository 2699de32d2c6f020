"""What is asked: Kafka with no right to read, a service that is named twice, the ledger as it grows old."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import KafkaError

from taximeter_consumers.clickhouse import connect
from taximeter_consumers.rollups import lag
from taximeter_infra.status import kafka_eyes, stored_eyes
from taximeter_infra.status.kafka_eyes import KafkaEyes
from taximeter_infra.status.pipeline import Pipeline, Whereabouts
from taximeter_infra.status.stored_eyes import StoredEyes
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

NOWHERE = KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:1"})


class Refusing:
    """A client of Kafka's that may not read."""

    def __init__(self, *_: object, **__: object) -> None:
        self.closed = False

    def assign(self, _places: object) -> None:
        """Taken."""

    def consume(self, *_: object) -> list[Refusing]:
        """One error, as the client hands it over."""
        return [self]

    def partition(self) -> int:
        """Of the error."""
        return 0

    def error(self) -> KafkaError:
        """That the user may not read."""
        return KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)

    def close(self) -> None:
        """Nothing to close."""


def test_whoever_may_not_read_the_topic_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a record without an age: a Trouble with its mend."""
    monkeypatch.setattr(kafka_eyes, "Consumer", Refusing)
    ages: Any = KafkaEyes(NOWHERE)._ages
    with pytest.raises(Misconfigured, match="TOPIC_AUTHORIZATION_FAILED") as refused:
        ages("metering.events", {0: 5})
    assert "read the topic" in refused.value.mend


def test_a_service_that_is_named_twice_is_asked_once() -> None:
    """Its line comes once; nobody is there, and that is all it says."""
    clickhouse = ClickHouseSettings.model_validate({"url": "http://127.0.0.1:1"})
    place = "127.0.0.1:1"
    pipeline = Pipeline(Whereabouts(NOWHERE, clickhouse, TopicSettings(), "sink", "quota", services=[place, place]))
    assert len(pipeline.look().services) == 1
    pipeline.close()


def test_no_look_merges_the_whole_ledger() -> None:
    """The tables themselves are read, never the view with FINAL, which reads all of it."""
    for sql in (lag._LAG, stored_eyes._LEDGER):
        assert "FROM stored_ingest_batches" in sql
        assert not re.search(r"FROM ingest_batches|\bFINAL\b", sql)
    assert "arrived_at >" in stored_eyes._LEDGER


@pytest.mark.integration
def test_the_ledger_is_looked_at_two_days_back(migrated_database: ClickHouseSettings) -> None:
    """What was stored just now of records that waited for a week is seen; of older rows only that there are some. The
    server gives up after three seconds, and the tables are told without the ledger."""
    eyes, clickhouse, now = StoredEyes(migrated_database), connect(migrated_database), datetime.now(UTC)
    columns = ["kafka_topic", "kafka_partition", "first_offset", "last_offset", "batch_id", "records"]
    columns += ["arrived_at", "stored_at"]

    def keep(partition: int, arrived: timedelta, stored: timedelta) -> None:
        row = ["events", partition, 0, 9, partition, 10, now - arrived, now - stored]
        clickhouse.insert("stored_ingest_batches", columns, [row])

    assert not eyes.stored("events").ever
    keep(0, timedelta(days=9), timedelta(days=9))
    found = eyes.stored("events")
    assert (found.ever, found.long_ago, found.last_stored_seconds) == (True, True, None)
    keep(1, timedelta(days=8), timedelta(seconds=1))
    found = eyes.stored("events")
    assert (set(found.stored_seconds), found.long_ago) == ({1}, False)
    assert not eyes.stored("others").ever
    assert eyes._connected().scalar("SELECT getSetting('max_execution_time')") == 3
    clickhouse.execute("DROP TABLE stored_ingest_batches SYNC")
    assert eyes.tables().pending == []
    clickhouse.close()
    eyes.close()
