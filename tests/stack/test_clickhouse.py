"""The embedded ClickHouse of the local stack: its private API, its users, its data across restarts."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from taximeter_infra.stack.clickhouse import WHEEL, WHEEL_VERSION, ClickHousePart
from taximeter_infra.stack.clickhouse_http import Endpoint
from taximeter_infra.stack.clickhouse_launcher import load_engine
from taximeter_infra.stack.plan import StackAddresses
from taximeter_infra.stack.room import free_ports
from taximeter_infra.stack.supervisor import Supervisor
from taximeter_schemas.settings import ClickHouseSettings

pytestmark = pytest.mark.integration
ACCESS_DENIED, UNKNOWN_TABLE, QUOTA_EXCEEDED, WRONG_PASSWORD = 497, 60, 201, 516
READONLY, SETTING_CONSTRAINT = 164, 452


def test_private_api_is_still_there() -> None:
    """The launcher uses private API of the wheel: this version still has it. If it fails, mend the launcher first."""
    assert importlib.metadata.version(WHEEL) == WHEEL_VERSION
    assert callable(load_engine().query)


@pytest.fixture
def owner(local_stack: StackAddresses) -> Endpoint:
    """The user `taximeter`."""
    return Endpoint.of_url(local_stack.clickhouse_url.get_secret_value())


@pytest.fixture
def analyst(local_stack: StackAddresses) -> Endpoint:
    """The user `analyst`."""
    return Endpoint.of_url(local_stack.analyst_url)


@pytest.fixture
def table(owner: Endpoint, clickhouse_settings: ClickHouseSettings) -> str:
    """A table with one row in the test's own database."""
    name = f"{clickhouse_settings.database}.numbers"
    for sql in (
        f"CREATE DATABASE {clickhouse_settings.database}",
        f"CREATE TABLE {name} (n UInt64) ENGINE = MergeTree ORDER BY n",
        f"INSERT INTO {name} VALUES (7)",
    ):
        answer = owner.ask(sql, timeout=20)
        assert answer.ok, answer.text
    return name


def test_analyst_reads(analyst: Endpoint, table: str) -> None:
    """The analyst reads the metering databases without a password."""
    assert analyst.ask(f"SELECT sum(n) FROM {table}").text == "7"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO {table} VALUES (8)",
        "ALTER TABLE {table} DELETE WHERE 1",
        "DROP TABLE {table}",
        "TRUNCATE TABLE {table}",
        "CREATE DATABASE metering_mine",
        "CREATE TABLE {table}2 (n UInt64) ENGINE = Memory",
        "SELECT * FROM other.secrets",
        "SELECT * FROM system.query_log",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SET readonly = 0",
        "SELECT 1 SETTINGS max_memory_usage = 100000000000",
        "SYSTEM SHUTDOWN",
        "KILL QUERY WHERE 1",
    ],
)
def test_analyst_cannot(analyst: Endpoint, owner: Endpoint, table: str, sql: str) -> None:
    """The analyst changes nothing, reads nothing else and cannot lift the limits."""
    for made in (
        "CREATE DATABASE IF NOT EXISTS other",
        "CREATE TABLE IF NOT EXISTS other.secrets (n UInt8) ENGINE = Memory",
    ):
        assert owner.ask(made).ok
    answer = analyst.ask(sql.format(table=table))
    assert answer.code in {ACCESS_DENIED, UNKNOWN_TABLE, READONLY, SETTING_CONSTRAINT}, answer
    assert owner.ask(f"SELECT count() FROM {table}").text == "1"


def test_default_user_is_powerless(local_stack: StackAddresses, owner: Endpoint, table: str) -> None:
    """The boot user, which has no password, is left without queries; the owner does not get in without a password."""
    nobody = Endpoint(owner.host, owner.port)
    for sql in (f"SELECT * FROM {table}", "SYSTEM STOP LISTEN HTTP", "SHOW DATABASES", "CREATE DATABASE metering_x"):
        assert nobody.ask(sql).code in {QUOTA_EXCEEDED, ACCESS_DENIED}, sql
    assert Endpoint(owner.host, owner.port, "taximeter", "").ask("SELECT 1").code == WRONG_PASSWORD


def test_data_and_query_log_survive_a_restart(tmp_path: Path) -> None:
    """After an orderly stop and a start, rows, the query log and the password are those of before."""
    passwords, counts = set(), []
    for _ in range(2):
        part = ClickHousePart(tmp_path, *free_ports(2))
        supervisor = Supervisor(lambda _: None)
        supervisor.start([part])
        try:
            owner = Endpoint("127.0.0.1", part.http_port, "taximeter", part.password)
            for sql in (
                "CREATE DATABASE IF NOT EXISTS metering",
                "CREATE TABLE IF NOT EXISTS metering.kept (n UInt64) ENGINE = MergeTree ORDER BY n",
                "INSERT INTO metering.kept VALUES (1)",
                "SYSTEM FLUSH LOGS",
            ):
                answer = owner.ask(sql, timeout=30)
                assert answer.ok, answer.text
            logged = "SELECT uniq(query_id) FROM system.query_log WHERE query LIKE 'INSERT INTO metering.kept%'"
            counts.append((owner.ask("SELECT count() FROM metering.kept").text, owner.ask(logged).text))
            passwords.add(part.password)
        finally:
            supervisor.stop()
    assert counts == [("1", "1"), ("2", "2")]
    assert len(passwords) == 1
    assert (tmp_path / "clickhouse" / "password").stat().st_mode & 0o777 == 0o600
