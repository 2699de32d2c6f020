"""A quota service of the benchmark's own: fresh tables, topics and one plan, and the service as a child process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bench.sites import open_site, require_alive
from taximeter.quota import QuotaClient, QuotaSettings, Subject
from taximeter.quota.asker import Asker
from taximeter_consumers.quota.plans import named_level
from taximeter_consumers.quota.plans.assignments import Assignment
from taximeter_consumers.quota.plans.plans import Limit, QuotaPlan
from taximeter_consumers.quota.plans.setting_rows import append
from taximeter_infra.stack.child import Child
from taximeter_infra.stack.plan import StackAddresses
from taximeter_infra.stack.waiting import wait_until
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.errors import Retryable
from taximeter_schemas.quota.limits import Window
from taximeter_schemas.settings import KafkaSettings, TopicSettings

METER = "total_tokens"
LIMITS = {"bench-wide": 10**15, "bench-tight": 10_000}
"""Account to tokens a month."""

TOPICS = TopicSettings(
    events="bench.quota.events",
    dead_letters="bench.quota.dlq",
    quota_commands="bench.quota.commands",
    quota_answers="bench.quota.answers",
    quota_state="bench.quota.state",
    alerts="bench.quota.alerts",
    partitions=2,
)
_START_SECONDS = 60.0
_LONG_AGO = timedelta(days=100)


@dataclass(frozen=True)
class Serving:
    """A service that answers."""

    kafka: KafkaSettings
    child: Child

    def client(self) -> QuotaClient:
        """A client of its own connections."""
        return QuotaClient(Asker(self.kafka, TOPICS), QuotaSettings(answer_seconds=30))


def subject_of(account_id: str, user_id: str = "") -> Subject:
    """Of an account of `LIMITS`."""
    return Subject(account_id=account_id, user_id=user_id)


@contextmanager
def serve(addresses: StackAddresses) -> Iterator[Serving]:
    """Ends with the block. Raises Retryable where the service does not answer."""
    kafka = KafkaSettings(bootstrap_servers=addresses.bootstrap_servers)
    ensure_topics(kafka, TOPICS)
    with open_site("bench_quota", addresses, TOPICS) as site, site.held:
        began = datetime.now(UTC) - _LONG_AGO
        rows: list[QuotaPlan | Limit | Assignment] = []
        for account_id, tokens in LIMITS.items():
            rows.append(QuotaPlan(account_id, began, account_id))
            rows.append(Limit(account_id, METER, began, METER, Window.MONTH, Decimal(tokens)))
            rows.append(Assignment(named_level.account(account_id), began, account_id))
        append(site.clickhouse, rows)
        serving = Serving(kafka, site.start("quota", "service"))
        with serving.client() as client:
            if not wait_until(lambda: _answers(client, serving), _START_SECONDS):
                raise Retryable(f"the quota service does not answer:\n{serving.child.tail()}")
        yield serving


def _answers(client: QuotaClient, serving: Serving) -> bool:
    require_alive(serving.child)
    try:
        return bool(client.show(subject_of("bench-wide"), timeout=2).standings)
    except Retryable:
        return False
