"""Servers that are not there, or are something else: told at once, with the mend, and without a password."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Taximeter

from taximeter_infra.cli.reach import clickhouse_place, kafka_places
from taximeter_infra.stack.room import free_ports
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.settings import ClickHouseSettings

KAFKA_COMMANDS = ("tail", "replay", "simulate", "topics describe", "topics create")
CLICKHOUSE_COMMANDS = ("report runs", "aggregate", "migrate", "sql 1", "sink --until-caught-up")
SECRET = "s3cr3t"


@pytest.fixture
def closed_port() -> int:
    """A port at which nobody listens."""
    return free_ports(1)[0]


def test_kafka_servers_are_read_as_librdkafka_does() -> None:
    """With and without protocol and port; several; IPv6 in brackets."""
    assert kafka_places("a:1, PLAINTEXT://b:2") == [("a", 1), ("b", 2)]
    assert kafka_places("broker") == [("broker", 9092)]
    assert kafka_places("[::1]:9093") == [("::1", 9093)]
    for wrong in ("", ",", "a:b", "a:99999", "a:1,"):
        with pytest.raises(Misconfigured, match="KAFKA_BOOTSTRAP_SERVERS"):
            kafka_places(wrong)


@pytest.mark.parametrize(
    "url", ["", "ch:8123", "ftp://ch", f"http://u:{SECRET}/x@ch:8123", "http://ch:99999", f"http://u:{SECRET}#@h"]
)
def test_a_wrong_url_is_refused_and_not_shown(url: str) -> None:
    """A slash or a hash in a password ends the address too early; the message says how to write it."""
    with pytest.raises(Misconfigured, match="CLICKHOUSE_URL") as refused:
        clickhouse_place(url)
    assert SECRET not in str(refused.value)
    assert "%2F" in str(refused.value)


def test_usual_ports_are_assumed() -> None:
    """8123 for http, 8443 for https."""
    assert clickhouse_place("http://u:p@ch") == ("http", "ch", 8123)
    assert clickhouse_place("https://ch") == ("https", "ch", 8443)


@pytest.mark.parametrize("command", KAFKA_COMMANDS)
def test_no_kafka_is_told_with_its_address(
    taximeter: Taximeter, monkeypatch: pytest.MonkeyPatch, closed_port: int, command: str
) -> None:
    """Exit code 1, two lines, nothing on standard output."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{closed_port}")
    result = taximeter(*command.split())
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: nobody listens at 127.0.0.1:{closed_port} for Kafka")
    assert "mend: start the local stack with `taximeter up`, or set KAFKA_BOOTSTRAP_SERVERS" in result.stderr


@pytest.mark.parametrize("command", CLICKHOUSE_COMMANDS)
def test_no_clickhouse_is_told_with_its_address(
    taximeter: Taximeter, monkeypatch: pytest.MonkeyPatch, closed_port: int, command: str
) -> None:
    """Exit code 1, two lines, nothing on standard output, no password."""
    monkeypatch.setenv("CLICKHOUSE_URL", f"http://u:{SECRET}@127.0.0.1:{closed_port}")
    result = taximeter(*command.split())
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: nobody listens at 127.0.0.1:{closed_port} for ClickHouse")
    assert "mend: start the local stack with `taximeter up`, or set CLICKHOUSE_URL" in result.stderr
    assert SECRET not in result.output


@pytest.mark.integration
def test_https_to_an_http_port_is_told(
    taximeter: Taximeter, monkeypatch: pytest.MonkeyPatch, on_clickhouse: ClickHouseSettings
) -> None:
    """Somebody listens, but speaks another protocol."""
    url = on_clickhouse.url.get_secret_value()
    monkeypatch.setenv("CLICKHOUSE_URL", url.replace("http://", "https://"))
    result = taximeter("report", "runs")
    assert result.exit_code == 1
    assert "takes connections, but gives no good answer to https" in result.stderr
    assert "8443" in result.stderr


@pytest.mark.integration
def test_a_wrong_password_is_not_blamed_on_the_query(
    taximeter: Taximeter, monkeypatch: pytest.MonkeyPatch, on_clickhouse: ClickHouseSettings
) -> None:
    """`sql` says that user or password is wrong, and shows neither."""
    host = on_clickhouse.url.get_secret_value().rpartition("@")[2]
    monkeypatch.setenv("CLICKHOUSE_URL", f"http://taximeter:{SECRET}@{host}")
    result = taximeter("sql", "SELECT 1")
    assert result.exit_code == 1
    assert "look at user and password in CLICKHOUSE_URL" in result.stderr
    assert SECRET not in result.output
