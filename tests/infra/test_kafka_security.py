"""SASL, TLS and rights: every option reaches the client, and the services work on a broker that asks for all of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from tests.infra.own_server import running
from tests.infra.secure_kafka import PASSWORD, SecureKafka, users
from typer.testing import CliRunner

from taximeter_consumers import kafka_client
from taximeter_consumers.api.sink_lag import KafkaSinkLag
from taximeter_consumers.kafka_client import Heard, partitions_of
from taximeter_infra.cli.app import app
from taximeter_infra.stack.room import free_ports
from taximeter_schemas.errors import Misconfigured, Retryable
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings

Run = Callable[..., str]


def test_every_variable_reaches_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """KAFKA_* become librdkafka's options; KAFKA_OPTIONS carries any other one and has the last word."""
    given = {
        "KAFKA_BOOTSTRAP_SERVERS": ("bootstrap.servers", "broker:9093"),
        "KAFKA_SECURITY_PROTOCOL": ("security.protocol", "sasl_ssl"),
        "KAFKA_SASL_MECHANISM": ("sasl.mechanism", "SCRAM-SHA-512"),
        "KAFKA_SASL_USERNAME": ("sasl.username", "taximeter-sink"),
        "KAFKA_SASL_PASSWORD": ("sasl.password", "secret"),
        "KAFKA_SSL_CA_LOCATION": ("ssl.ca.location", "/etc/ca.pem"),
    }
    for name, (_, value) in given.items():
        monkeypatch.setenv(name, value)
    more = {"ssl.certificate.location": "/c.pem", "sasl.username": "other", "client.rack": "a"}
    monkeypatch.setenv("KAFKA_OPTIONS", json.dumps(more))
    settings = KafkaSettings()
    assert settings.client_config() == dict(given.values()) | more
    assert "secret" not in repr(settings)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """With TLS, passwords and the list of rights."""
    if shutil.which("keytool") is None:
        pytest.skip("no Java on this machine: no broker that asks for passwords")
    secure = SecureKafka(tmp_path_factory.mktemp("secure"), *free_ports(2))
    with running([secure]):
        secure.grant_all()
        yield secure


@pytest.fixture
def run(broker: SecureKafka, migrated_database: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command as the Kafka user of its service; what it says, failed or not."""
    monkeypatch.setenv("CLICKHOUSE_URL", migrated_database.url.get_secret_value())
    monkeypatch.setenv("CLICKHOUSE_DATABASE", migrated_database.database)
    monkeypatch.setenv("TAXIMETER_TOPIC_PARTITIONS", "2")
    monkeypatch.setenv("TAXIMETER_TOPIC_QUOTA_PARTITIONS", "2")
    known = broker.settings("nobody")

    def ran(user: str, *argv: str, password: str = PASSWORD, code: int = 0) -> str:
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", known.bootstrap_servers)
        monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "sasl_ssl")
        monkeypatch.setenv("KAFKA_SASL_MECHANISM", "PLAIN")
        monkeypatch.setenv("KAFKA_SASL_USERNAME", f"taximeter-{user}")
        monkeypatch.setenv("KAFKA_SASL_PASSWORD", password)
        monkeypatch.setenv("KAFKA_SSL_CA_LOCATION", str(broker.node.certificate))
        done = CliRunner().invoke(app, list(argv))
        assert done.exit_code == code, f"{user}: {' '.join(argv)}: {done.output} {done.exception!r}"
        return done.output

    return ran


@pytest.mark.integration
def test_services_work_with_the_rights_of_the_list_and_no_others(run: Run, broker: SecureKafka) -> None:
    """Topics, an executor's events, the sink, the quota service, alerts and the API's look at the lag; an executor
    that would read is refused, and so is a wrong password, which nobody is shown."""
    run("topics", "topics", "create")
    run("executor", "simulate", "--events", "50")
    assert "stored 50 events" in run("sink", "sink", "--until-caught-up")
    assert "decided 0 commands" in run("quota", "quota", "service", "--until-caught-up")
    assert "0 alerts" in run("quota-alerts", "quota", "alerts", "--print", "--until-caught-up")
    assert "50" in run("operator", "topics", "describe")
    lag = KafkaSinkLag(broker.settings("taximeter-api"), "metering.events", "taximeter-sink").look()
    assert lag is not None
    refused = run("executor", "sink", "--until-caught-up", code=1)
    assert "mend" in refused
    wrong = run("operator", "topics", "describe", password="no-password", code=1)
    reading = run("operator", "replay", "--dry-run", password="no-password", code=1)
    for told in (wrong, reading):
        assert "no-password" not in told
        assert "mend: look at KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD" in told


@pytest.mark.integration
def test_topics_are_altered_with_the_rights_of_the_list(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings and partitions by the user of the topics; an operator may look, and is told whose rights it takes."""
    run("topics", "topics", "create")
    monkeypatch.setenv("TAXIMETER_TOPIC_RETENTION_HOURS", "200")
    refused = run("operator", "topics", "create", "--apply", code=1)
    assert "taximeter-topics" in refused
    assert "set retention.ms of metering.events to 720000000" in run("topics", "topics", "create", "--apply")
    assert "metering.events: 2 partitions" in run("operator", "topics", "describe")


class _Refused:
    """A client whose broker just closes the connection, and which hears why when it is polled."""

    def __init__(self, heard: Heard, code: int) -> None:
        self._heard, self._error = heard, KafkaError(code)

    def list_topics(self, timeout: float) -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def poll(self, timeout: float) -> None:
        self._heard(self._error)


def test_a_reader_that_is_refused_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password is told at once with its mend; a broker that is just away, at the end of the time limit."""
    heard = Heard()
    client: Any = _Refused(heard, KafkaError._AUTHENTICATION)
    with pytest.raises(Misconfigured) as refused:
        partitions_of(client, KafkaSettings(), "t", mend="", heard=heard)
    assert "KAFKA_SASL_PASSWORD" in refused.value.mend
    monkeypatch.setattr(kafka_client, "LOOK_SECONDS", -1.0)
    heard = Heard()
    away: Any = _Refused(heard, KafkaError._ALL_BROKERS_DOWN)
    with pytest.raises(Retryable, match="does not answer"):
        partitions_of(away, KafkaSettings(), "t", mend="", heard=heard)


def test_every_service_has_a_user() -> None:
    """The list knows everybody who talks to Kafka."""
    assert set(users()) == {
        f"taximeter-{name}"
        for name in ("topics", "executor", "sink", "quota", "quota-alerts", "api", "operator", "keda")
    }
