"""Faults around the sink: what breaks, breaks for a while and costs nothing."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, though its stubs do not re-export all
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from tests.conftest import TopicNames
from tests.sink.conftest import Pipeline
from tests.sink.records import events, value_of

from taximeter_consumers.clickhouse import connect
from taximeter_consumers.rollups import rebuild, tick
from taximeter_consumers.sink.batch import Batch
from taximeter_consumers.sink.bundle import Bundle
from taximeter_consumers.sink.counters import SinkCounters
from taximeter_consumers.sink.dead_letters import DeadLetterWriter
from taximeter_consumers.sink.intent import Slice, to_metadata
from taximeter_consumers.sink.ledger import Ledger
from taximeter_consumers.sink.log_identity import LogIdentity
from taximeter_consumers.sink.metrics import SinkMetrics
from taximeter_consumers.sink.service import SinkEnvironment, _one_membership, run_sink
from taximeter_consumers.sink.settings import SinkSettings
from taximeter_consumers.sink.store import Store
from taximeter_infra.migrate import migrate, single_server
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import StackPlan
from taximeter_infra.stack.waiting import wait_until
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.errors import Fenced, Retryable
from taximeter_schemas.registry import PackagedRegistry
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings

pytestmark = pytest.mark.integration


def _environment(pipeline: Pipeline) -> SinkEnvironment:
    return SinkEnvironment(pipeline.kafka, pipeline.clickhouse_settings, PackagedRegistry(), pipeline.topics)


@contextmanager
def _sink(pipeline: Pipeline, settings: SinkSettings) -> Iterator[SinkCounters]:
    """A sink on a thread, which joins anew as `run_sink` does; its counters while it runs. Raises what it died of."""
    metrics, stop, failures = SinkMetrics(), threading.Event(), []

    def live() -> None:
        while not stop.is_set():
            try:
                _one_membership(_environment(pipeline), settings, stop, metrics, until_caught_up=False)
            except (Fenced, Retryable):
                continue
            except Exception as error:  # noqa: BLE001 - handed to the test below
                failures.append(error)
                return

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield metrics.counters
    finally:
        stop.set()
        thread.join()
        # Also where the test itself failed: this is then the reason.
        assert failures == []


def _bundle(offsets: Sequence[int], values: Sequence[bytes], arrivals: Sequence[int]) -> Bundle:
    return Bundle((Batch("t", 0, offsets, values, arrivals),))


@contextmanager
def _store(pipeline: Pipeline) -> Iterator[Store]:
    with closing(DeadLetterWriter(pipeline.kafka, pipeline.topics.dead_letters)) as letters:
        yield Store(pipeline.clickhouse, PackagedRegistry(), letters, Ledger(pipeline.clickhouse, "t", "a log"))


def _keep(store: Store, bundle: Bundle, attempt: int = 1) -> None:
    store.settle(bundle.batches, store.insert(bundle, attempt), attempt)


def _partition_with_records(pipeline: Pipeline, consumer: Consumer) -> int:
    ends = {
        number: consumer.get_watermark_offsets(TopicPartition(pipeline.topics.events, number), timeout=15)[1]
        for number in range(pipeline.topics.partitions)
    }
    return max(ends, key=lambda number: ends[number])


@pytest.mark.parametrize(("memory", "ranges"), [(40 * 2**20, [(0, 5_999)]), (2**20, None)])
def test_a_successor_with_less_memory_takes_over(
    pipeline: Pipeline, memory: int, ranges: list[tuple[int, int]] | None
) -> None:
    """An announced batch that is larger than a partition's share is completed where the memory of all allows it.

    Where it does not, the batch is cut afresh. In neither case does the partition wait for ever, paused.
    """
    made = [event.model_copy(update={"description": "d" * 2_000}) for event in events(6_000, seed=20)]
    pipeline.produce([value_of(event) for event in made], keys=["one"] * len(made))
    config = {**pipeline.kafka.client_config(), "group.id": pipeline.group, "enable.auto.commit": False}
    with closing(Consumer(config)) as consumer:
        number = _partition_with_records(pipeline, consumer)
        log = LogIdentity(pipeline.kafka, pipeline.topics.events, seen=False).log
        announced = to_metadata(log, [(Slice(number, 0, 5_999),)])
        consumer.commit(
            offsets=[TopicPartition(pipeline.topics.events, number, 0, announced)],
            asynchronous=False,
        )
    pipeline.run(pipeline.settings(memory_bytes=memory))
    assert pipeline.physical_rows() == 6_000
    if ranges is not None:
        assert pipeline.clickhouse.rows("SELECT first_offset, last_offset FROM ingest_batches") == ranges


def test_retention_overtakes_the_sink(pipeline: Pipeline) -> None:
    """What is gone from the log is reported and skipped once; the sink goes on at the log's beginning."""
    values = [value_of(event) for event in events(600, seed=21)]
    pipeline.produce(values[:300], keys=["one"] * 300)
    pipeline.run()
    pipeline.produce(values[300:], keys=["one"] * 300)
    admin = AdminClient({**pipeline.kafka.client_config()})
    with closing(Consumer({**pipeline.kafka.client_config(), "group.id": "none"})) as consumer:
        place = TopicPartition(pipeline.topics.events, _partition_with_records(pipeline, consumer), 500)
    for deleted in admin.delete_records([place]).values():
        deleted.result()
    assert pipeline.run().records == 100
    assert pipeline.physical_rows() == 400
    assert pipeline.run().records == 0


def test_a_paused_partition_that_leaves_and_comes_back_is_read_again(pipeline: Pipeline) -> None:
    """Storage that refuses sound records pauses partitions and dead-letters none; no pause outlives a rebalance.

    A broken view makes every insert fail with a code of bad data; a second sink comes and goes; the view is mended.
    """
    made = [event.model_copy(update={"description": "d" * 2_000}) for event in events(4_000, seed=22)]
    pipeline.produce([value_of(event) for event in made])
    pipeline.clickhouse.execute(
        "CREATE MATERIALIZED VIEW broken ENGINE = Null AS SELECT throwIf(1) AS no FROM stored_events"
    )
    settings = pipeline.settings(memory_bytes=2**20, batch_rows=100, stop_timeout_seconds=0.2)
    with _sink(pipeline, settings) as first:
        assert wait_until(lambda: first.pauses >= 4, 30)
        with _sink(pipeline, settings) as second:
            # It owns some once it holds some.
            assert wait_until(lambda: second.pauses >= 1, 30)
        pipeline.clickhouse.execute("DROP TABLE broken SYNC")
        assert wait_until(lambda: pipeline.physical_rows() >= 4_000, 60)
        assert first.dead_lettered == 0
    assert pipeline.sums()[0] == 4_000


def test_a_bad_record_of_any_size_gets_out(pipeline: Pipeline) -> None:
    """The brokers say how large a record may be; a dead letter is not refused by a smaller limit of the sink's own."""
    admin = AdminClient({**pipeline.kafka.client_config()})
    for topic in (pipeline.topics.events, pipeline.topics.dead_letters):
        entry = ConfigEntry("max.message.bytes", "33554432", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        for altered in admin.incremental_alter_configs([resource]).values():
            altered.result()
    options = {"message.max.bytes": "33554432"}
    wide = dataclasses.replace(pipeline, kafka=pipeline.kafka.model_copy(update={"options": options}))
    large = events(1, seed=23)[0].model_copy(update={"description": "d" * 20_000_000})
    wide.produce([b"\xff" * 20_000_000, value_of(large)])
    counters = pipeline.run()
    assert (counters.records, counters.dead_lettered, pipeline.physical_rows()) == (2, 1, 1)


def test_partitions_that_wait_for_the_dead_letter_topic_hold_up_no_other(pipeline: Pipeline) -> None:
    """With no place for dead letters their partitions wait, more of them than there are writers; the others go on."""
    admin = AdminClient({**pipeline.kafka.client_config()})
    for deleted in admin.delete_topics([pipeline.topics.dead_letters]).values():
        deleted.result()
    producer = Producer(pipeline.kafka.client_config())
    for number in range(3):
        producer.produce(pipeline.topics.events, b"\xff", partition=number)
    producer.produce(pipeline.topics.events, value_of(events(1, seed=28)[0]), partition=3)
    assert producer.flush(30) == 0
    with _sink(pipeline, pipeline.settings(stop_timeout_seconds=0.2)) as counters:
        assert wait_until(lambda: counters.records == 1, 60)
        assert (pipeline.physical_rows(), counters.dead_lettered) == (1, 0)
        ensure_topics(pipeline.kafka, pipeline.topics)
        assert wait_until(lambda: counters.dead_lettered == 3, 60)
    assert len(pipeline.dead_letters()) == 3


def test_rows_that_a_killed_server_only_noted_are_stored_again(pipeline: Pipeline) -> None:
    """The engine notes a token before the part is visible; killed in between, it would drop the repeated insert."""
    values = [value_of(event) for event in events(100, seed=24)]
    bundle = _bundle(range(100), values, [1_772_000_000_000] * 100)
    with _store(pipeline) as store:
        store.insert(bundle)
        # The same state without a kill: the token is known and the rows are not there.
        pipeline.clickhouse.execute("ALTER TABLE stored_events DELETE WHERE true", settings={"mutations_sync": 2})
        store.insert(bundle)
        assert pipeline.physical_rows() == 0
        store.insert(bundle, attempt=2)
        assert pipeline.physical_rows() == 100
        store.insert(bundle, attempt=3)
    assert pipeline.physical_rows() == 100


def test_rows_that_lie_twice_do_not_make_up_for_rows_that_are_missing(pipeline: Pipeline) -> None:
    """An insert is whole only within a month. Half of it repeated, the other half lost, is not all of it."""
    values = [value_of(event) for event in events(100, seed=32)]
    bundle = _bundle(range(100), values, [1_772_000_000_000] * 100)
    again = Bundle(bundle.batches, announced_before=True)
    with _store(pipeline) as store:
        store.insert(bundle)
        pipeline.clickhouse.execute(
            "ALTER TABLE stored_events DELETE WHERE kafka_offset >= 50", settings={"mutations_sync": 2}
        )
        pipeline.clickhouse.execute(
            "INSERT INTO stored_events SELECT * FROM stored_events", settings={"insert_deduplicate": 0}
        )
        assert pipeline.physical_rows() == 100
        store.insert(again)
    assert pipeline.clickhouse.scalar("SELECT uniqExact(kafka_offset) FROM stored_events") == 100


def test_a_piece_of_a_bundle_is_inserted_only_where_the_bundle_was_not(pipeline: Pipeline) -> None:
    """A bundle of two partitions that were torn apart: each piece is counted first, and no row lies there twice."""
    values = [value_of(event) for event in events(60, seed=33)]
    batches = [Batch("t", number, range(30), values[30 * number :][:30], [1_772_000_000_000] * 30) for number in (0, 1)]
    pieces = [Bundle((batch,), announced_before=True, torn=True) for batch in batches]
    with _store(pipeline) as store:
        store.insert(pieces[0])
        assert pipeline.physical_rows() == 30
        store.insert(pieces[0])
        assert pipeline.physical_rows() == 30
        pipeline.clickhouse.execute("TRUNCATE TABLE stored_events")
        store.insert(Bundle(tuple(batches)))
        for piece in pieces:
            _keep(store, piece)
    assert pipeline.physical_rows() == 60
    assert pipeline.clickhouse.scalar("SELECT sum(stored) FROM ingest_batches") == 60


def test_rows_of_a_batch_without_a_ledger_row_miss_no_rollup(pipeline: Pipeline) -> None:
    """A crash before the ledger, a broker that forgets intents, another cut, a merge: the rollups have every event.

    Copies of one record have one version, so the later one stays, whose batch is in the ledger.
    """
    values = [value_of(event) for event in events(100, seed=25)]
    arrivals = [1_772_000_000_000] * 50 + [1_772_000_000_040] * 50
    with _store(pipeline) as store:
        store.insert(_bundle(range(100), values, arrivals))
        _keep(store, _bundle(range(50), values[:50], arrivals[:50]))
        _keep(store, _bundle(range(50, 100), values[50:], arrivals[50:]))
    pipeline.clickhouse.execute("OPTIMIZE TABLE stored_events FINAL")
    tick(pipeline.clickhouse)
    assert pipeline.clickhouse.scalar("SELECT sum(events) FROM run_costs") == 100
    rebuild(pipeline.clickhouse)
    assert pipeline.clickhouse.scalar("SELECT sum(events) FROM run_costs") == 100


def test_a_clock_that_was_set_back_hides_no_batch(pipeline: Pipeline) -> None:
    """Batches that are stored after the server's clock was set back by a day are rolled up all the same."""
    values = [value_of(event) for event in events(100, seed=26)]
    with _store(pipeline) as store:
        _keep(store, _bundle(range(50), values[:50], [1_772_000_000_000] * 50))
        pipeline.clickhouse.execute(
            "INSERT INTO stored_ingest_batches"
            " SELECT * REPLACE (now64(6) + INTERVAL 1 DAY AS stored_at) FROM stored_ingest_batches"
        )
        assert tick(pipeline.clickhouse).records == 50
        _keep(store, _bundle(range(50, 100), values[50:], [1_772_000_000_040] * 50))
    assert tick(pipeline.clickhouse).records == 50
    assert pipeline.clickhouse.scalar("SELECT sum(events) FROM run_costs") == 100
    assert tick(pipeline.clickhouse).version is None


@pytest.mark.long
def test_both_servers_are_killed_in_the_middle(data_dir: Path, topic_names: TopicNames) -> None:
    """Kill -9 of the broker and of ClickHouse under a running sink: every event is stored, once."""
    made = events(8_000, seed=27)
    with LocalStack(StackPlan.on_free_ports(data_dir)) as stack:
        kafka = KafkaSettings(bootstrap_servers=stack.addresses.bootstrap_servers, security_protocol="plaintext")
        clickhouse = ClickHouseSettings(url=stack.addresses.clickhouse_url, database="faults")
        topics = topic_names.settings(partitions=4)
        ensure_topics(kafka, topics)
        migrate(clickhouse, single_server())
        with closing(connect(clickhouse)) as connection:
            pipeline = Pipeline(kafka, clickhouse, topics, topic_names.group, connection)
            pipeline.produce([value_of(event) for event in made])
            stop = threading.Event()
            settings = pipeline.settings(batch_rows=200)
            sink = threading.Thread(target=lambda: run_sink(_environment(pipeline), settings, stop))
            sink.start()
            try:
                assert wait_until(lambda: _rows_or_none(pipeline) >= 3_000, 90)
                for health in stack.poll():
                    assert health.pid is not None
                    os.kill(health.pid, signal.SIGKILL)
                assert wait_until(lambda: _rows_or_none(pipeline) >= 8_000, 90)
            finally:
                stop.set()
                sink.join()
            assert pipeline.physical_rows() == 8_000
            assert pipeline.sums()[:2] == (8_000, 8_000)
            assert connection.scalar("SELECT sum(records) FROM ingest_batches") == 8_000


def _rows_or_none(pipeline: Pipeline) -> int:
    try:
        return pipeline.physical_rows()
    except Retryable:
        return 0


class _ClosedStandardError:
    """A logger whose every line fails."""

    def __getattr__(self, _: str) -> Any:
        def fail(*_: object, **__: object) -> None:
            raise ValueError("I/O operation on closed file")

        return fail


def test_an_error_in_a_callback_ends_the_sink_and_does_not_hang_it(pipeline: Pipeline) -> None:
    """What goes wrong while partitions are assigned or given back comes out; the next sink does the work."""
    made = events(50, seed=31)
    pipeline.produce([value_of(event) for event in made])
    structlog.configure(logger_factory=lambda *_: _ClosedStandardError())
    with pytest.raises(ValueError, match="closed file"):
        pipeline.run()
    structlog.reset_defaults()
    pipeline.run()
    assert pipeline.physical_rows() == 50
