"""The local stack: a broker and a ClickHouse, started together, kept running, stopped together.

What holds: the directory's lock is held for as long as the stack lives; nothing it started outlives this process,
however it ends; data in the directory survive a stop, a kill and a restart (but for the Tansu broker, which keeps
none). A server that dies is started again, within limits; `poll` says so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from taximeter_infra.stack.broker_choice import Broker, Machine, choose_broker
from taximeter_infra.stack.clickhouse import ClickHousePart
from taximeter_infra.stack.elsewhere import require_clickhouse, require_kafka
from taximeter_infra.stack.java import find_java, find_maven
from taximeter_infra.stack.kafka import KafkaPart
from taximeter_infra.stack.kafka_jars import cache_dir, is_complete, kafka_version, require_jars
from taximeter_infra.stack.lock import stack_lock
from taximeter_infra.stack.part import Part, PartHealth
from taximeter_infra.stack.plan import StackAddresses, StackPlan, without_credentials
from taximeter_infra.stack.room import LOOPBACK, require_disk
from taximeter_infra.stack.running import remove_addresses, write_addresses
from taximeter_infra.stack.supervisor import Supervisor
from taximeter_infra.stack.tansu import WARNING, TansuPart, tansu_installed, tansu_version
from taximeter_schemas.errors import Retryable, TaximeterError

PRODUCTS = {"kafka": "Apache Kafka", "tansu": "Tansu"}


class LocalStack:
    """Use it as a context manager, or call `start` and `stop`. One object is one life of the stack."""

    def __init__(self, plan: StackPlan) -> None:
        self.plan = plan.settled()
        self._report: Callable[[str], None] = lambda _: None
        self._supervisor = Supervisor(self._say)
        self._held = contextlib.ExitStack()
        self._addresses: StackAddresses | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def addresses(self) -> StackAddresses:
        """Where the parts answer. Raises Retryable before the stack is up."""
        if self._addresses is None:
            raise Retryable("the local stack is not up")
        return self._addresses

    def announce(self, report: Callable[[str], None]) -> None:
        """From now on, tell this callable (from any thread) what happens; it must not raise."""
        self._report = report

    def start(self, progress: Callable[[str], None] | None = None) -> StackAddresses:
        """Start what is wanted and wait until all of it answers.

        `progress` gets lines for people, also later, from other threads, when a server dies and is started again.
        Raises Misconfigured or Retryable with everything stopped again.
        """
        self.announce(progress or self._report)
        self._held.enter_context(stack_lock(self.plan.data_dir))
        try:
            require_disk(self.plan.data_dir)
            self._addresses = self._start_parts()
            self._held.callback(remove_addresses, self.plan.data_dir)
            write_addresses(self._addresses)
        except BaseException:
            self.stop()
            raise
        return self._addresses

    def stop(self) -> None:
        """Stop everything in reverse order and give the directory free. Harmless when called twice."""
        self._supervisor.stop()
        self._addresses = None
        self._held.close()

    def poll(self) -> list[PartHealth]:
        """How each part is, from what its keeper knows; it asks no server anything."""
        known = self.addresses
        url = without_credentials(known.clickhouse_url.get_secret_value())
        described = {
            "kafka": (f"{known.broker_product} {known.broker_version}", known.bootstrap_servers),
            "clickhouse": (f"ClickHouse {known.clickhouse_version}", url),
        }
        kept = {keeper.part.name: keeper.health(*described[keeper.part.name]) for keeper in self._supervisor.keepers}
        yours = {name: PartHealth(name, product, "up", f"{at} (yours)") for name, (product, at) in described.items()}
        return [kept.get(name, yours[name]) for name in described]

    @property
    def alive(self) -> bool:
        """Whether no part is down for good."""
        return self._addresses is not None and all(health.state != "down" for health in self.poll())

    def _say(self, line: str) -> None:
        self._report(line)

    def _start_parts(self) -> StackAddresses:
        plan = self.plan
        parts: list[Part] = []
        product, version, bootstrap = "Kafka (yours)", "unknown", plan.kafka or f"{LOOPBACK}:{plan.kafka_port}"
        if plan.kafka is None:
            broker = self._settle_broker()
            product, version = PRODUCTS[broker], kafka_version() if broker == "kafka" else tansu_version()
            parts.append(self._broker_part(broker))
        else:
            require_kafka(plan.kafka)
        embedded = None
        if plan.clickhouse is None:
            embedded = ClickHousePart(plan.data_dir, plan.clickhouse_http_port, plan.clickhouse_tcp_port)
            parts.append(embedded)
        else:
            engine = require_clickhouse(plan.clickhouse)
        self._say(f"starting {' and '.join(part.name for part in parts) or 'nothing: both servers are yours'}")
        self._supervisor.start(parts)
        url, native = plan.clickhouse or SecretStr(""), None
        if embedded is not None:
            engine = embedded.version()
            at = f"{LOOPBACK}:{plan.clickhouse_http_port}"
            url, native = (
                SecretStr(f"http://taximeter:{embedded.password}@{at}"),
                f"{LOOPBACK}:{plan.clickhouse_tcp_port}",
            )
        analyst = without_credentials(url.get_secret_value()).replace("://", "://analyst@", 1)
        return StackAddresses(bootstrap, url, native, analyst, product, version, engine, plan.data_dir)

    def _broker_part(self, broker: Broker) -> Part:
        plan = self.plan
        if broker == "kafka":
            return KafkaPart(plan.data_dir, plan.kafka_port, plan.controller_port, self._say)
        self._say(WARNING)
        return TansuPart(plan.data_dir, plan.kafka_port)

    def _settle_broker(self) -> Broker:
        """The broker that the rule names; with `auto`, Tansu too when Kafka's jars cannot be fetched."""
        machine = present_machine()
        broker = choose_broker(self.plan.broker, machine)
        if broker == "kafka":
            try:
                require_jars(cache_dir(), self._say)
            except TaximeterError as error:
                if self.plan.broker != "auto" or not machine.tansu:
                    raise
                self._say(f"{error}\nfalling back to the Tansu broker")
                return "tansu"
        return broker


def present_machine() -> Machine:
    """What this machine has that bears on the choice of the broker."""
    return Machine(find_java(), find_maven() is not None, is_complete(cache_dir()), tansu_installed())
