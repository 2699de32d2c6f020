"""A real broker goes away and comes back: hooks do not notice, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from taximeter import Meter, MeterSettings
from taximeter.emitter.kafka import KafkaTransport
from taximeter.faults import Faults
from taximeter_consumers.replay.topic_range import TopicRange
from taximeter_consumers.replay.topic_reader import TopicReader
from taximeter_infra.stack.java import find_java
from taximeter_infra.stack.kafka import KafkaPart, java_problem
from taximeter_infra.stack.part import Part
from taximeter_infra.stack.room import free_ports
from taximeter_infra.stack.supervisor import Supervisor
from taximeter_infra.stack.waiting import wait_until
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.codec import decode
from taximeter_schemas.registry import PackagedRegistry
from taximeter_schemas.settings import KafkaSettings, TopicSettings

pytestmark = pytest.mark.integration


@contextmanager
def _up(broker: Part) -> Iterator[None]:
    supervisor = Supervisor(lambda _: None)
    supervisor.start([broker])
    try:
        yield
    finally:
        supervisor.stop()


def _emit(meter: Meter, name: str, events: int) -> None:
    with meter.run() as run:
        for number in range(events):
            with run.node(f"{name}{number}"):
                pass


def test_events_of_an_outage_arrive_when_the_broker_is_back(tmp_path: Path) -> None:
    """Also those whose delivery had failed by then; each is acknowledged, and found in the topic."""
    if java_problem(find_java()) is not None:
        pytest.skip("no Java 17 here, and the other broker forgets its topics when it stops")
    port, controller = free_ports(2)
    broker = KafkaPart(tmp_path, port, controller, lambda _: None)
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}", options={"message.timeout.ms": "500"})
    topics = TopicSettings(partitions=2)
    with Meter(MeterSettings(close_timeout_seconds=0), KafkaTransport(kafka, topics.events, Faults())) as meter:
        with _up(broker):
            ensure_topics(kafka, topics)
            _emit(meter, "before", 50)
            assert meter.flush(120)
        _emit(meter, "during", 200)
        assert wait_until(lambda: meter.counters().failed >= 200, 120)
        assert meter.counters().acknowledged == 50
        with _up(broker):
            assert meter.flush(120)
            counters = meter.counters()
            assert (counters.accepted, counters.acknowledged, counters.dropped) == (250, 250, {})
            reader = TopicReader(kafka, topics.events)
            found = [decode(message.value(), PackagedRegistry()) for message in reader.read(reader.spans(TopicRange()))]
            reader.close()
    expected = {f"before{number}" for number in range(50)} | {f"during{number}" for number in range(200)}
    assert {event.node_id for event in found} == expected
    assert len({event.event_id for event in found}) == 250


@pytest.mark.long
def test_what_a_silent_client_holds_goes_to_disk_and_arrives_when_the_broker_is_back(tmp_path: Path) -> None:
    """Within seconds, long before the client itself gives up; each event once by its id, none dropped."""
    if java_problem(find_java()) is not None:
        pytest.skip("no Java 17 here, and the other broker forgets its topics when it stops")
    port, controller = free_ports(2)
    broker = KafkaPart(tmp_path / "kafka", port, controller, lambda _: None)
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}", options={"message.timeout.ms": "300000"})
    topics = TopicSettings(partitions=2)
    settings = MeterSettings(queue_events=100, spool_dir=tmp_path / "spool", close_timeout_seconds=0)
    with Meter(settings, KafkaTransport(kafka, topics.events, Faults())) as meter:
        with _up(broker):
            ensure_topics(kafka, topics)
            _emit(meter, "before", 50)
            assert meter.flush(120)
        for number in range(500):
            assert wait_until(lambda: meter.counters().queue_depth < 100, 120)
            _emit(meter, f"during{number}.", 1)
        assert meter.flush(120)
        counters = meter.counters()
        assert (counters.acknowledged + counters.spilled, counters.dropped) == (550, {})
        assert counters.spilled >= 500
        with _up(broker):
            assert wait_until(lambda: not list((tmp_path / "spool").iterdir()), 120)
            reader = TopicReader(kafka, topics.events)
            found = [decode(message.value(), PackagedRegistry()) for message in reader.read(reader.spans(TopicRange()))]
            reader.close()
    names = {event.node_id for event in found}
    assert names == {f"before{number}" for number in range(50)} | {f"during{number}.0" for number in range(500)}
    assert len({event.event_id for event in found}) == 550
