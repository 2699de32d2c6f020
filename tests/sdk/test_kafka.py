"""The Kafka transport: what it asks of librdkafka, and what it makes of its errors."""

from __future__ import annotations

import subprocess
import sys
from uuid import UUID

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from tests.conftest import TopicNames

from taximeter import Meter, MeterSettings
from taximeter.emitter.kafka import CONTENT_TYPE, ERRORS, KafkaTransport, translated
from taximeter.faults import Faults
from taximeter_schemas.codec import decode
from taximeter_schemas.errors import Fenced, Poison, Retryable
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.registry import PackagedRegistry
from taximeter_schemas.settings import KafkaSettings

# librdkafka's own stand-in for a broker, inside the client.
_STAND_IN = KafkaSettings(bootstrap_servers="127.0.0.1:1", options={"test.mock.num.brokers": "1"})
_NOBODY = KafkaSettings(bootstrap_servers="127.0.0.1:1")


def test_every_name_in_the_table_of_errors_exists() -> None:
    """A name that librdkafka does not know would never match."""
    assert all(hasattr(KafkaError, name) for name in ERRORS)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KafkaError(KafkaError._MSG_TIMED_OUT), Retryable),
        (KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), Retryable),
        (KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), Poison),
        (KafkaError(KafkaError.INVALID_PRODUCER_EPOCH), Fenced),
        (KafkaError(KafkaError._MSG_TIMED_OUT, "x", fatal=True), Fenced),
    ],
)
def test_errors_are_told_apart_by_what_must_be_done(error: KafkaError, kind: type[Exception]) -> None:
    """Again later, never again, or through a new producer."""
    assert type(translated(error)) is kind


def test_a_fenced_producer_is_replaced_and_nothing_is_lost() -> None:
    """What was not acknowledged goes out through the new producer, once a fatal error has ended the old one."""
    faults = Faults()
    transport = KafkaTransport(_NOBODY, "events", faults)
    with Meter(MeterSettings(), transport, faults=faults) as meter:
        with meter.run() as run:
            for number in range(5):
                with run.node(f"n{number}"):
                    pass
        while meter.counters().produced < 5:
            assert not meter.flush(0.05)
        transport._settings = _STAND_IN
        transport._on_error(KafkaError(KafkaError._FATAL, "fenced", fatal=True))
        assert meter.flush(60)
        counters = meter.counters()
        assert (counters.acknowledged, counters.failed, counters.retried) == (5, 5, 5)


def test_a_producer_that_delivers_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that stands still after its broker came back; nothing is lost by it."""
    monkeypatch.setattr("taximeter.emitter.kafka._SILENT_SECONDS", 0.0)
    stands_still = _NOBODY.model_copy(update={"options": {"message.timeout.ms": "100"}})
    transport = KafkaTransport(stands_still, "events", Faults())
    reports: list[Exception | None] = []
    transport.send(b"k", b"v", reports.append)
    first = transport._producer
    while not reports:
        transport.poll(0.05)
    assert isinstance(reports[0], Retryable)
    assert transport._producer is None
    transport._settings = _STAND_IN
    transport.send(b"k", b"v", reports.append)
    assert transport._producer is not first
    while len(reports) < 2:
        transport.poll(0.05)
    assert reports[1] is None
    transport.close()


def test_an_event_too_large_for_kafka_is_refused_alone() -> None:
    """The client says so at once; the others go their way."""
    settings = KafkaSettings(
        bootstrap_servers="127.0.0.1:1", options={"test.mock.num.brokers": "1", "message.max.bytes": "2000"}
    )
    with Meter(MeterSettings(), KafkaTransport(settings, "events", Faults())) as meter:
        with meter.run(tags={f"k{number}": "v" * 100 for number in range(40)}) as run, run.node("large"):
            pass
        with meter.run() as run, run.node("small"):
            pass
        assert meter.flush(60)
        counters = meter.counters()
        assert (counters.acknowledged, counters.dropped) == (1, {"refused": 1})


@pytest.mark.integration
def test_two_thousand_events_reach_a_real_broker(kafka_settings: KafkaSettings, topic_names: TopicNames) -> None:
    """Each is acknowledged, keyed by its run, framed, headed, and found exactly once."""
    admin = AdminClient(dict(kafka_settings.client_config()))
    for made in admin.create_topics([NewTopic(topic_names.events, 2, 1)]).values():
        made.result(60)
    with Meter(MeterSettings(), KafkaTransport(kafka_settings, topic_names.events, Faults())) as meter:
        for number in range(20):
            with meter.run(run_id=f"run-{number}", account_id="acme") as run:
                for step in range(100):
                    with run.node(f"n{step}", node_type="ai") as node:
                        node.ai(provider="p", model="m", input_tokens=step)
        assert meter.flush(60)
        counters = meter.counters()
    assert (counters.accepted, counters.acknowledged, counters.dropped) == (2000, 2000, {})
    consumer = Consumer(kafka_settings.client_config() | {"group.id": topic_names.group, "enable.auto.commit": "false"})
    try:
        consumer.assign([TopicPartition(topic_names.events, partition, 0) for partition in range(2)])
        found: dict[UUID, MeterEvent] = {}
        while len(found) < 2000:
            message = consumer.poll(30)
            assert message is not None
            assert message.error() is None
            event = decode(message.value(), PackagedRegistry())
            assert message.key() == event.run_id.encode()
            assert dict(message.headers() or [])["content-type"] == CONTENT_TYPE.encode()
            assert event.event_id not in found
            found[event.event_id] = event
    finally:
        consumer.close()
    assert sum(event.ai.input_tokens for event in found.values() if event.ai) == 20 * sum(range(100))
    assert sum(event.executions for event in found.values()) == 2000


def test_a_script_without_logging_hears_of_a_loss() -> None:
    """Python's last resort writes it to standard error; standard output is the script's own."""
    script = (
        "from taximeter import Meter\n"
        "meter = Meter.from_environment()\n"
        "with meter.run(account_id='a') as run, run.node('n'):\n"
        "    pass\n"
        "meter.close(0.2)\n"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert "1 events were not acknowledged in time and are lost with the process" in done.stderr
    assert done.stdout == ""
