"""The sink on the real broker and the real ClickHouse: every event once, whatever dies."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal

import pytest
from confluent_kafka import Consumer, TopicPartition
from tests.sink.conftest import Pipeline
from tests.sink.records import events, value_of

from taximeter_consumers.sink.batch import Batch
from taximeter_consumers.sink.bundle import Bundle
from taximeter_consumers.sink.dead_letters import DeadLetterWriter
from taximeter_consumers.sink.intent import to_metadata
from taximeter_consumers.sink.ledger import Ledger
from taximeter_consumers.sink.log_identity import LogIdentity
from taximeter_consumers.sink.store import Store
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.registry import PackagedRegistry

pytestmark = pytest.mark.integration


def _expected(made: Sequence[MeterEvent]) -> tuple[object, ...]:
    """The same numbers, counted in Python."""
    ai = [event.ai for event in made if event.ai]
    return (
        len(made),
        len(made),
        sum(use.input_tokens for use in ai),
        sum(use.output_tokens for use in ai),
        sum((use.reported_cost for use in ai if use.reported_cost), Decimal(0)),
        sum((event.plugin.custom_units["pages"] for event in made if event.plugin), Decimal(0)),
        sum(event.http.bytes_in for event in made if event.http),
    )


def _sink_process(pipeline: Pipeline, *options: str) -> subprocess.Popen[bytes]:
    """`taximeter sink` as an operator starts it, with small batches so that many are in flight."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "KAFKA_BOOTSTRAP_SERVERS": pipeline.kafka.bootstrap_servers,
        "CLICKHOUSE_URL": pipeline.clickhouse_settings.url.get_secret_value(),
        "CLICKHOUSE_DATABASE": pipeline.clickhouse_settings.database,
        "TAXIMETER_TOPIC_EVENTS": pipeline.topics.events,
        "TAXIMETER_TOPIC_DEAD_LETTERS": pipeline.topics.dead_letters,
        "TAXIMETER_SINK_BATCH_ROWS": "500",
        "TAXIMETER_SINK_SESSION_TIMEOUT_MS": "6000",
    }
    command = [sys.executable, "-m", "taximeter_infra", "sink", "--group", pipeline.group, *options]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )


def test_every_event_is_stored_as_it_was(pipeline: Pipeline) -> None:
    """Counts, tokens, decimals, maps and coordinates arrive to the last digit, without a physical duplicate."""
    made = events(5_000, seed=1)
    pipeline.produce([value_of(event) for event in made])
    counters = pipeline.run()
    assert (counters.records, counters.dead_lettered) == (5_000, 0)
    assert pipeline.sums() == _expected(made)
    assert pipeline.physical_rows() == 5_000
    row = pipeline.clickhouse.records(
        "SELECT * FROM events WHERE event_id = {id:UUID}", {"id": str(made[140].event_id)}
    )[0]
    assert row["run_id"] == made[140].run_id
    assert row["tags"] == {"team": "blue"}
    assert row["custom_units"] == {"pages": Decimal("1.5")}
    assert (row["provider"], row["quality"], row["http_requests"]) == ("", "", 1)
    assert row["occurred_at"].replace(tzinfo=made[140].occurred_at.tzinfo) == made[140].occurred_at


def test_the_ledger_tiles_the_log(pipeline: Pipeline) -> None:
    """The ranges of every partition follow each other without gap or overlap, and account for every record."""
    pipeline.produce([value_of(event) for event in events(3_000, seed=2)])
    pipeline.run(pipeline.settings(batch_rows=170))
    ranges = pipeline.clickhouse.rows(
        "SELECT kafka_partition, first_offset, last_offset, records, stored FROM ingest_batches ORDER BY 1, 2"
    )
    ends: dict[int, int] = {}
    for partition, first, last, records, stored in ranges:
        assert first == ends.get(partition, 0)
        assert records == stored == last - first + 1
        ends[partition] = last + 1
    assert sum(ends.values()) == 3_000


def test_a_batch_that_was_stored_but_not_committed_is_recognised(pipeline: Pipeline) -> None:
    """A crash between the insert and the commit leaves no physical duplicate: the next owner cuts the same batch."""
    pipeline.produce([value_of(event) for event in events(400, seed=3)], keys=["one-run"] * 400)
    consumer = Consumer({**pipeline.kafka.client_config(), "group.id": pipeline.group, "enable.auto.commit": False})
    partition = next(
        number
        for number in range(4)
        if consumer.get_watermark_offsets(TopicPartition(pipeline.topics.events, number), timeout=15)[1] == 400
    )
    place = TopicPartition(pipeline.topics.events, partition, 0)
    consumer.assign([place])
    messages: list[object] = []
    while len(messages) < 300:
        messages.extend(consumer.consume(300 - len(messages), 5))
    batch = Batch(
        topic=pipeline.topics.events,
        partition=partition,
        offsets=list(range(300)),
        values=[message.value() for message in messages],
        arrivals=[message.timestamp()[1] for message in messages],
        messages=messages,
    )
    bundle, log = Bundle((batch,)), LogIdentity(pipeline.kafka, place.topic, seen=False).log
    consumer.commit(
        offsets=[TopicPartition(place.topic, partition, 0, to_metadata(log, [bundle.intent]))], asynchronous=False
    )
    consumer.close()
    letters = DeadLetterWriter(pipeline.kafka, pipeline.topics.dead_letters)
    store = Store(pipeline.clickhouse, PackagedRegistry(), letters, Ledger(pipeline.clickhouse, place.topic, log))
    store.settle(bundle.batches, store.insert(bundle))
    letters.close()
    assert pipeline.physical_rows() == 300

    pipeline.run()

    assert pipeline.physical_rows() == 400
    assert pipeline.clickhouse.scalar("SELECT sum(records) FROM ingest_batches") == 400


@pytest.mark.long
def test_ten_kills_change_no_number(pipeline: Pipeline) -> None:
    """Kill -9 of the sink, ten times in the middle of its work: nothing lost, nothing doubled, nothing mispriced."""
    made = events(30_000, seed=4)
    pipeline.produce([value_of(event) for event in made])
    draw = random.Random(5)
    for _ in range(10):
        stored = pipeline.physical_rows()
        goal = stored + draw.randrange(1, 2_500)
        process = _sink_process(pipeline, "--instance", "sink-1")
        try:
            assert wait_until(lambda goal=goal: pipeline.physical_rows() >= min(goal, 29_000), 60)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    last = _sink_process(pipeline, "--instance", "sink-1", "--until-caught-up")
    last.communicate()
    assert last.returncode == 0
    assert pipeline.sums() == _expected(made)
    assert pipeline.physical_rows() == 30_000


def test_a_stop_is_clean(pipeline: Pipeline) -> None:
    """SIGTERM: inserts in flight finish and are committed, the exit code is 0, and a successor has little to do."""
    made = events(8_000, seed=6)
    pipeline.produce([value_of(event) for event in made])
    process = _sink_process(pipeline)
    assert wait_until(lambda: pipeline.physical_rows() >= 500, 60)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate()
    assert process.returncode == 0
    assert b"stored" in out
    counters = pipeline.run()
    assert pipeline.physical_rows() == 8_000
    assert counters.records < 8_000


def test_reading_the_whole_topic_again_changes_no_total(pipeline: Pipeline) -> None:
    """Another group that cuts other batches stores physical copies; what everybody sees is the same."""
    made = events(2_000, seed=7)
    pipeline.produce([value_of(event) for event in made])
    pipeline.run()
    before = pipeline.sums()
    pipeline.run(pipeline.settings(group_id=f"{pipeline.group}.again", batch_rows=77))
    assert pipeline.physical_rows() > 2_000
    assert pipeline.sums() == before == _expected(made)


def test_memory_stays_within_its_bound(pipeline: Pipeline) -> None:
    """A backlog far over the memory bound pauses partitions, and everything is stored all the same."""
    made = [event.model_copy(update={"description": "d" * 2_000}) for event in events(4_000, seed=8)]
    pipeline.produce([value_of(event) for event in made])
    counters = pipeline.run(pipeline.settings(memory_bytes=2**20, batch_rows=100, writers=1))
    assert counters.pauses > 0
    assert pipeline.sums() == _expected(made)
    assert pipeline.physical_rows() == 4_000


def test_two_sinks_share_the_work(pipeline: Pipeline) -> None:
    """A second sink that comes and goes takes partitions over and gives them back; nothing is lost or doubled."""
    made = events(20_000, seed=9)
    left = [value_of(event) for event in made]
    first, second = _sink_process(pipeline), _sink_process(pipeline)

    def both_have_stored() -> bool:
        chunk, left[:] = left[:200], left[200:]
        pipeline.produce(chunk)
        return bool(pipeline.clickhouse.scalar("SELECT uniqExact(sink) = 2 FROM ingest_batches"))

    assert wait_until(both_have_stored, 60)
    second.send_signal(signal.SIGTERM)
    second.communicate()
    pipeline.produce(left)
    assert wait_until(lambda: pipeline.sums()[0] == 20_000, 90)
    first.send_signal(signal.SIGTERM)
    first.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert pipeline.sums() == _expected(made)


def test_caught_up_means_the_whole_topic(pipeline: Pipeline) -> None:
    """`--until-caught-up` beside a sink that is stuck with its partitions waits for these too, and stores them then."""
    made = events(1_000, seed=10)
    pipeline.produce([value_of(event) for event in made[:500]])
    stuck = _sink_process(pipeline)
    try:
        assert wait_until(lambda: pipeline.physical_rows() == 500, 60)
        stuck.send_signal(signal.SIGSTOP)
        pipeline.produce([value_of(event) for event in made[500:]])
        counters = pipeline.run()
    finally:
        stuck.send_signal(signal.SIGKILL)
        stuck.communicate()
    assert counters.records >= 500
    assert pipeline.sums() == _expected(made)
    assert pipeline.physical_rows() == 1_000


@pytest.mark.long
def test_a_zombie_changes_nothing(pipeline: Pipeline) -> None:
    """A sink that sleeps past its session in the middle of its work, and wakes when another has taken over."""
    made = events(12_000, seed=14)
    pipeline.produce([value_of(event) for event in made])
    zombie = _sink_process(pipeline)
    assert wait_until(lambda: pipeline.physical_rows() >= 1_000, 60)
    zombie.send_signal(signal.SIGSTOP)
    pipeline.run()
    assert pipeline.physical_rows() == 12_000
    zombie.send_signal(signal.SIGCONT)
    pipeline.produce([value_of(event) for event in events(13_000, seed=14)[12_000:]])
    pipeline.run()
    zombie.send_signal(signal.SIGTERM)
    zombie.communicate()
    assert zombie.returncode == 0
    assert pipeline.sums()[0] == 13_000
    assert pipeline.physical_rows() == 13_000
