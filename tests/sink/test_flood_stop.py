"""A partition that brings too many bad records stops and keeps its place; the others go on."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, TopicPartition
from tests.sink.conftest import Pipeline
from tests.sink.records import events, value_of

from taximeter_schemas.errors import Misconfigured

pytestmark = pytest.mark.integration


def _committed(pipeline: Pipeline) -> dict[int, int]:
    consumer = Consumer({**pipeline.kafka.client_config(), "group.id": pipeline.group})
    places = [TopicPartition(pipeline.topics.events, number) for number in range(pipeline.topics.partitions)]
    found = {place.partition: place.offset for place in consumer.committed(places, timeout=15)}
    consumer.close()
    return found


def test_a_flood_stops_its_partition_only_and_loses_nothing(pipeline: Pipeline) -> None:
    """Three in ten bad: nothing of that partition is committed or dead-lettered; the other partitions are stored.

    With a rate of 1 the next sink lets the bad ones go and stores the good ones once.
    """
    made = events(1_300, seed=41)
    good = [value_of(event) for event in made]
    pipeline.produce(good[:1_000], keys=[f"quiet-{number}" for number in range(1_000)])
    flooded = [value if number % 10 > 2 else b"garbage" for number, value in enumerate(good[1_000:])]
    pipeline.produce(flooded, keys=["flooded"] * 300)
    with pytest.raises(Misconfigured, match=r"partitions \[\d\]") as stopped:
        pipeline.run(pipeline.settings(poison_rate=0.05, poison_window=300))
    assert "TAXIMETER_SINK_POISON_RATE" in stopped.value.mend
    assert pipeline.dead_letters() == []
    held = [number for number, offset in _committed(pipeline).items() if offset <= 0]
    assert len(held) <= 1
    assert pipeline.clickhouse.scalar("SELECT sum(dead_lettered) FROM ingest_batches") == 0

    pipeline.run(pipeline.settings(poison_rate=1.0))
    assert len(pipeline.dead_letters()) == 90
    assert pipeline.sums()[:2] == (1_210, 1_210)
    assert pipeline.physical_rows() == 1_210


def test_a_few_bad_records_of_a_quiet_topic_stop_nothing(pipeline: Pipeline) -> None:
    """The rate is one of the last ten thousand records: half of ten is not too many."""
    made = events(5, seed=42)
    pipeline.produce([value_of(event) for event in made] + [b"garbage"] * 5)
    pipeline.run()
    assert len(pipeline.dead_letters()) == 5
    assert pipeline.physical_rows() == 5
