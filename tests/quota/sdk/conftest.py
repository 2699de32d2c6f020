"""Fixtures of the quota SDK's tests: gates served by hand, and a real service on the real broker."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from bench.sites import topic_environment
from tests.databases import Databases
from tests.quota.sdk.machine_line import ServedByHand

from taximeter import current
from taximeter.quota import QuotaClient, QuotaSettings, Subject, gate
from taximeter.quota.asker import Asker
from taximeter.testing import RecordedMeter, memory_meter
from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.quota.plans import named_level
from taximeter_consumers.quota.plans.assignments import Assignment, Membership
from taximeter_consumers.quota.plans.plans import Limit, QuotaPlan
from taximeter_consumers.quota.plans.setting_rows import append
from taximeter_infra.stack.child import Child, ChildSpec
from taximeter_infra.stack.plan import StackAddresses
from taximeter_infra.stack.waiting import wait_until
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.errors import Retryable
from taximeter_schemas.quota.limits import OnOutage, Window
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

AGO = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=70)


@pytest.fixture(autouse=True)
def _outside_every_run() -> None:
    """Nodes that another test left open are not current in this one."""
    current._here.set(None)


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates start no thread: the test serves them."""
    monkeypatch.setattr(gate, "Keeper", ServedByHand)


@pytest.fixture
def recorded() -> Iterator[RecordedMeter]:
    """A meter that keeps its events in memory."""
    with memory_meter() as meter:
        yield meter


@dataclass
class Site:
    """Where a real service decides."""

    kafka: KafkaSettings
    topics: TopicSettings
    clickhouse_settings: ClickHouseSettings
    clickhouse: ClickHouse
    logs: Path
    service: Child | None = None

    @property
    def environment(self) -> dict[str, str]:
        """For child processes."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "CLICKHOUSE_URL": self.clickhouse_settings.url.get_secret_value(),
            "CLICKHOUSE_DATABASE": self.clickhouse_settings.database,
            **topic_environment(self.topics),
        }

    def client(self, **settings: object) -> QuotaClient:
        """With connections of its own."""
        given = {"answer_seconds": 20, "first_lease_seconds": 15, **settings}
        return QuotaClient(Asker(self.kafka, self.topics), QuotaSettings.model_validate(given))

    def account(self, tokens: int, *, on_outage: OnOutage = OnOutage.CLOSED, organisation: str = "") -> Subject:
        """A new account with so many tokens a month."""
        name = f"a{secrets.token_hex(5)}"
        level = named_level.organisation(organisation) if organisation else named_level.account(name)
        limit = Limit(name, "most", AGO, "total_tokens", Window.MONTH, Decimal(tokens), on_outage=on_outage)
        append(self.clickhouse, [QuotaPlan(name, AGO, name), limit, Assignment(level, AGO, name)])
        if organisation:
            append(self.clickhouse, [Membership(name, AGO, organisation)])
        subject = Subject(account_id=name)
        if self.service is not None:
            # A plan counts from the service's next tick on.
            with self.client(answer_seconds=5) as client:
                assert wait_until(lambda: _limited(client, subject), 60)
        return subject

    def start(self) -> None:
        """Starts the service and waits until it answers."""
        argv = (sys.executable, "-m", "taximeter_infra", "quota", "service", "--tick-seconds", "0.2")
        argv = (*argv, "--group", self.topics.events, "--instance", "only")
        self.service = Child.start(ChildSpec("quota", argv, self.logs / "quota.log", environment=self.environment))
        with self.client(answer_seconds=1) as client:
            assert wait_until(lambda: _answers(client), 60), self.service.tail()

    def stop(self) -> None:
        """Ends it by its own pid."""
        child, self.service = self.service, None
        if child is not None:
            child.stop()


def _limited(client: QuotaClient, subject: Subject) -> bool:
    try:
        return bool(client.show(subject).standings)
    except Retryable:
        return False


def _answers(client: QuotaClient) -> bool:
    try:
        return bool(client.show(Subject(account_id="nobody")))
    except Retryable:
        return False


@pytest.fixture(scope="module")
def new_site(
    local_stack: StackAddresses, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Site]]:
    """Makes sites with topics and a database of their own; their services end with the module.

    A service ticks for as long as it lives: kept for the whole session, a few of them slow every later test.
    """
    with ExitStack() as held:

        def make() -> Site:
            mark = secrets.token_hex(5)
            names = ("events", "dead_letters", "quota_commands", "quota_answers", "quota_state", "alerts")
            topics = TopicSettings(**{name: f"test.{mark}.{name}" for name in names}, partitions=2, quota_partitions=3)  # type: ignore[arg-type]  # all names are texts
            kafka = KafkaSettings(bootstrap_servers=local_stack.bootstrap_servers)
            ensure_topics(kafka, topics)
            settings = held.enter_context(databases.borrowed())
            clickhouse = held.enter_context(closing(connect(settings)))
            made = Site(kafka, topics, settings, clickhouse, tmp_path_factory.mktemp("quota"))
            held.callback(made.stop)
            return made

        yield make


@pytest.fixture(scope="module")
def serving(new_site: Callable[[], Site]) -> Site:
    """A site whose service runs for all tests of the module: each takes accounts of its own."""
    made = new_site()
    made.start()
    return made
