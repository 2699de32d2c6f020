"""Settings and errors: read once, refused with a reason, silent about secrets."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from taximeter_schemas import errors
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, RegistrySettings, TopicSettings


def test_secrets_are_not_shown() -> None:
    """Printing a group of settings shows no password."""
    groups = (
        KafkaSettings(sasl_username="meter", sasl_password=SecretStr("hush")),
        ClickHouseSettings(url=SecretStr("https://meter:hush@ch:8443")),
        RegistrySettings(url="http://registry", basic_auth=SecretStr("meter:hush")),
    )
    for group in groups:
        assert "hush" not in f"{group!r} {group}"


def test_the_environment_names_are_the_fields_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """`KAFKA_BOOTSTRAP_SERVERS`, `CLICKHOUSE_URL`, `TAXIMETER_TOPIC_EVENTS` and their like are read."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "k1:9092,k2:9092")
    monkeypatch.setenv("KAFKA_OPTIONS", '{"socket.timeout.ms": "1000"}')
    monkeypatch.setenv("CLICKHOUSE_DATABASE", "metering_eu")
    monkeypatch.setenv("TAXIMETER_TOPIC_EVENTS", "eu.events")
    config = KafkaSettings().client_config()
    assert config["bootstrap.servers"] == "k1:9092,k2:9092"
    assert config["socket.timeout.ms"] == "1000"
    assert ClickHouseSettings().database == "metering_eu"
    assert TopicSettings().events == "eu.events"


def test_the_client_gets_the_password() -> None:
    """What is hidden from people still reaches the Kafka client."""
    config = KafkaSettings(sasl_mechanism="PLAIN", sasl_username="meter", sasl_password=SecretStr("hush"))
    assert config.client_config()["sasl.password"] == "hush"


@pytest.mark.parametrize("name", ["a b", "1st", "x`; DROP", ""])
def test_a_database_name_is_a_plain_word(name: str) -> None:
    """Names that would need quoting are refused."""
    with pytest.raises(ValidationError):
        ClickHouseSettings(database=name)


def test_errors_say_what_to_do() -> None:
    """Every error is one of the tree, and a Misconfigured carries its mend."""
    assert issubclass(errors.Full, errors.Retryable)
    kinds = (errors.Retryable, errors.Poison, errors.Fenced, errors.Denied, errors.Misconfigured)
    assert all(issubclass(kind, errors.TaximeterError) for kind in kinds)
    error = errors.Misconfigured("the port is taken", mend="choose another")
    assert "mend: choose another" in str(error)
    assert errors.Poison("too_short", "three bytes").reason == "too_short"
