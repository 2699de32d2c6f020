"""A stack of this module's own, that may be broken, with real services over it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import Producer
from tests.sink.records import events, value_of

from taximeter_infra.prepare import prepare
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import StackPlan
from taximeter_infra.stack.room import free_ports

_HIDDEN = ("KAFKA_", "CLICKHOUSE_", "TAXIMETER_", "SCHEMA_REGISTRY_")


@dataclass
class Site:
    """The stack, its services as processes, and `taximeter status` over them."""

    stack: LocalStack
    environment: dict[str, str]
    metrics: str
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """A service."""
        process = subprocess.Popen(
            [sys.executable, "-m", "taximeter_infra", *words],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.running.append(process)
        return process

    @property
    def has_transactions(self) -> bool:
        """Whether the quota service runs on this broker."""
        return self.stack.addresses.broker_product == "Apache Kafka"

    @contextmanager
    def watching(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """`taximeter status --watch --json`."""
        command = [sys.executable, "-m", "taximeter_infra", "status", "--watch", "--json", *words]
        with subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE) as process:
            self.running.append(process)
            yield process

    def status(self, *words: str) -> tuple[int, dict[str, Any]]:
        """The exit code of `taximeter status --json`, and what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "taximeter_infra", "status", "--json", *words],
            env=self.environment,
            capture_output=True,
            check=False,
            timeout=60,
        )
        return done.returncode, json.loads(done.stdout)

    @contextmanager
    def traffic(self) -> Iterator[None]:
        """Events as they come, some fifty a second."""
        stop = threading.Event()
        values = [value_of(event) for event in events(2_000, seed=5)]
        producer = Producer({"bootstrap.servers": self.stack.addresses.bootstrap_servers, "linger.ms": 5})

        def send() -> None:
            for number in range(100_000):
                producer.produce("metering.events", value=values[number % len(values)], key=f"run-{number % 40}")
                producer.poll(0)
                if stop.wait(0.02):
                    break

        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield
        finally:
            stop.set()
            sender.join()
            producer.flush(30)

    @contextmanager
    def frozen(self, part: str) -> Iterator[None]:
        """A part of the stack that takes connections and says nothing."""
        (pid,) = (health.pid for health in self.stack.poll() if health.name == part)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """Ends what still runs."""
        for process in self.running:
            process.kill()
            process.wait(30)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Prepared, with no service running yet."""
    with LocalStack(StackPlan.on_free_ports(tmp_path_factory.mktemp("status"))) as stack:
        prepare(stack.addresses)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
        path = {"PYTHONPATH": os.pathsep.join(sys.path)}
        one = Site(stack, {**kept, **path, **stack.addresses.environment()}, f"127.0.0.1:{free_ports(1)[0]}")
        try:
            yield one
        finally:
            one.close()
