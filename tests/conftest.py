"""Fixtures for tests that need real servers: the local stack once per run, names of their own for each test.

`local_stack` starts at its first use and ends with the run; nothing it started outlives this process, even when it is
killed. `migrated_database` is an empty database with every migration applied: tests of tables begin with it. The
container fixtures skip, with the reason, where no Docker engine answers.
"""

from __future__ import annotations

import functools
import os
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
import typer.testing
from pydantic import SecretStr
from tests.databases import Databases

from taximeter_infra.stack import clickhouse_files
from taximeter_infra.stack.clickhouse_http import Endpoint
from taximeter_infra.stack.doctor_facts import docker_engine
from taximeter_infra.stack.kafka_probe import look
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import StackAddresses, StackPlan
from taximeter_infra.stack.room import LOOPBACK, free_ports
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

KAFKA_IMAGE = "apache/kafka:4.1.0"
CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:25.8"
# A broker of the tests lives for seconds: Java's second compiler would cost more than it saves, half of its start.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
# ClickHouse compiles an expression at its third use, a tenth of a second for one that reads a few hundred rows here.
clickhouse_files.USERS = clickhouse_files.USERS.replace(
    "<profiles>\n        <default>",
    "<profiles>\n        <default>\n            <compile_expressions>0</compile_expressions>"
    "\n            <compile_aggregate_expressions>0</compile_aggregate_expressions>",
)
# The runner of commands makes the tree of all commands anew for each, which takes longer than most commands.
typer.testing._get_command = functools.cache(typer.main.get_command)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """How tests are spread over processes."""
    from tests.scheduling import Scheduling

    return Scheduling(config, log) if config.getvalue("dist") == "loadscope" else None


@dataclass(frozen=True)
class TopicNames:
    """Topics that only this test uses."""

    events: str
    dead_letters: str
    commands: str
    answers: str
    state: str
    alerts: str
    group: str

    def settings(self, partitions: int = 4) -> TopicSettings:
        """The same as the pipeline's settings; the topics of quotas are those of the whole test run."""
        return TopicSettings(events=self.events, dead_letters=self.dead_letters, partitions=partitions)

    def quota_settings(self, partitions: int = 4) -> TopicSettings:
        """All topics are the test's own; those of quotas have `partitions`."""
        return TopicSettings(
            events=self.events,
            dead_letters=self.dead_letters,
            quota_commands=self.commands,
            quota_answers=self.answers,
            quota_state=self.state,
            alerts=self.alerts,
            partitions=2,
            quota_partitions=partitions,
        )


@pytest.fixture(scope="session")
def local_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackAddresses]:
    """A broker (Apache Kafka where Java is) and ClickHouse, on free ports, in a directory that ends with the run."""
    with LocalStack(StackPlan.on_free_ports(tmp_path_factory.mktemp("stack"))) as stack:
        yield stack.addresses


@pytest.fixture
def kafka_settings(local_stack: StackAddresses) -> KafkaSettings:
    """How to reach the stack's broker."""
    return KafkaSettings(bootstrap_servers=local_stack.bootstrap_servers, security_protocol="plaintext")


@pytest.fixture
def topic_names() -> TopicNames:
    """Names that no other test has; whoever uses a topic creates it."""
    mark = secrets.token_hex(6)
    return TopicNames(
        events=f"test.{mark}.events",
        dead_letters=f"test.{mark}.events.dlq",
        commands=f"test.{mark}.quota.commands",
        answers=f"test.{mark}.quota.answers",
        state=f"test.{mark}.quota.state",
        alerts=f"test.{mark}.alerts",
        group=f"test.{mark}",
    )


@pytest.fixture
def clickhouse_settings(local_stack: StackAddresses) -> Iterator[ClickHouseSettings]:
    """How to reach the stack's ClickHouse, with a database of the test's own: not created here, dropped afterwards."""
    database = f"metering_test_{secrets.token_hex(6)}"
    yield ClickHouseSettings(url=local_stack.clickhouse_url, database=database)
    endpoint = Endpoint.of_url(local_stack.clickhouse_url.get_secret_value())
    answer = endpoint.ask(f"DROP DATABASE IF EXISTS {database} SYNC", timeout=60)
    assert answer.ok, answer.text


@pytest.fixture(scope="session")
def databases(local_stack: StackAddresses) -> Databases:
    """The migrated databases of the stack's ClickHouse; `migrated_database` is what a test wants."""
    return Databases(local_stack.clickhouse_url)


@pytest.fixture
def migrated_database(databases: Databases) -> Iterator[ClickHouseSettings]:
    """How to reach a database of the test's own with every migration applied and no rows.

    It is used again, cleaned, so it costs a tenth of a new one. A test may do in it whatever it likes.
    """
    with databases.borrowed() as settings:
        yield settings


@pytest.fixture(scope="session")
def docker() -> str:
    """The version of the Docker engine; skips where none answers."""
    version = docker_engine()
    if version is None:
        pytest.skip("no Docker engine answers on this machine")
    return version


@pytest.fixture(scope="session")
def container_kafka(docker: str) -> Iterator[KafkaSettings]:
    """Apache Kafka in a container, on one port that is the same inside and outside, as its clients must see it."""
    from testcontainers.core.container import DockerContainer

    (port,) = free_ports(1)
    # The pair says on which address of the host; the library hands it to Docker as it is.
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(port, (LOOPBACK, port))  # type: ignore[arg-type]  # its gap
    for name, value in kafka_container_environment(port).items():
        container.with_env(name, value)
    settings = KafkaSettings(bootstrap_servers=f"{LOOPBACK}:{port}", security_protocol="plaintext")
    with container:
        assert wait_until(lambda: look(settings) is not None, 90), "the Kafka container does not answer"
        yield settings


def kafka_container_environment(port: int) -> dict[str, str]:
    """The image's settings for one node in both roles."""
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"BROKER://:{port},CONTROLLER://localhost:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"BROKER://{LOOPBACK}:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "BROKER",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }


@pytest.fixture(scope="session")
def container_clickhouse(docker: str) -> Iterator[ClickHouseSettings]:
    """A ClickHouse server in a container."""
    from testcontainers.clickhouse import ClickHouseContainer

    with ClickHouseContainer(CLICKHOUSE_IMAGE, username="taximeter", dbname="metering") as container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(8123)
        yield ClickHouseSettings(
            url=SecretStr(f"http://{container.username}:{container.password}@{host}:{port}"), database="metering"
        )


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory for a stack of the test's own."""
    return tmp_path / "stack"


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    """A command that runs inside this process sets up logs and signals as if the process were its own."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    structlog.reset_defaults()
    for number, handler in handlers.items():
        signal.signal(number, handler)
