"""What `taximeter demo --keep` does after its checks: three weeks of simulated use, quotas, the API and its dashboard.

Everything here is a child of the demo and ends with it; data stay in the data directory. The key is good for a day, so
one that a killed demo has left behind opens nothing for long.
"""

from __future__ import annotations

import secrets
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from taximeter_consumers.api import key_store
from taximeter_consumers.api.keys import ALL_ACCOUNTS, Key, Scope, hash_of, made, text_of
from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.quota.plans import named_level
from taximeter_consumers.quota.plans.assignments import Assignment
from taximeter_consumers.quota.plans.plans import shipped_plans
from taximeter_consumers.quota.plans.setting_rows import append
from taximeter_infra.simulate.generator import events
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_infra.simulate.sending import EventSender, Pacing
from taximeter_infra.stack.room import LOOPBACK, free_ports, port_answers
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable
from taximeter_schemas.registry import PackagedRegistry
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

if TYPE_CHECKING:
    from decimal import Decimal

    from taximeter_infra.demo.services import Starter
    from taximeter_infra.stack.plan import StackAddresses

_DAYS: Final = 21
_EVENTS: Final = 6_000
_ACCOUNTS: Final = 3
_PATIENCE_SECONDS: Final = 60.0
_USED: Final = """
SELECT account_id, sum(total_tokens) FROM usage_by_subject
WHERE minute >= now('UTC') - INTERVAL 31 DAY GROUP BY account_id ORDER BY account_id
"""


@dataclass(frozen=True)
class Stay:
    """Where the API answers, and an operator's key for it, good for a day. Show it once and log it never."""

    url: str
    key: str

    def __repr__(self) -> str:
        return f"Stay({self.url!r}, ...)"

    @property
    def dashboard(self) -> str:
        """The address that signs in by itself: browsers send no fragment to any server."""
        return f"{self.url}/dashboard#key={self.key}"


def stay(starter: Starter, sink_group: str, seed: int) -> Stay:
    """Fills in what a dashboard wants to show, and starts what it needs. Raises Retryable with the log to look at."""
    addresses, now = starter.addresses, datetime.now(UTC)
    send_history(addresses, seed, now)
    with closing(connect(ClickHouseSettings(url=addresses.clickhouse_url))) as clickhouse:
        if not wait_until(lambda: _is_there(clickhouse), _PATIENCE_SECONDS):
            raise Retryable(f"the simulated use does not show; look at the logs in {addresses.data_dir / 'demo'}")
        append(clickhouse, [_plan_for(account, tokens, now) for account, tokens in clickhouse.rows(_USED)])
        key = _operator_key(clickhouse, now)
    starter.start("quota", "quota", "service", "--group", f"{sink_group}-quota", "--tick-seconds", "0.5")
    (port,) = free_ports(1)
    told = {"TAXIMETER_API_SIMULATE": "true", "TAXIMETER_API_SINK_GROUP_ID": sink_group}
    api = starter.start("api", "api", "--port", str(port), environment=told)
    if not wait_until(lambda: port_answers(port) or api.exit_code is not None, _PATIENCE_SECONDS) or api.exit_code:
        raise Retryable(f"the API does not answer; its log ends with:\n{api.tail()}")
    return Stay(f"http://{LOOPBACK}:{port}", key)


def history(seed: int, now: datetime) -> SimulationPlan:
    """Use of whole days until the last midnight, the same for the same day. Pure."""
    start = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=_DAYS)
    # Longer runs go on for a while after the last of them began.
    seconds = timedelta(days=_DAYS) - timedelta(hours=1)
    return SimulationPlan(_EVENTS, abs(seed), accounts=_ACCOUNTS, start=start, pace=_EVENTS / seconds.total_seconds())


def send_history(addresses: StackAddresses, seed: int, now: datetime) -> None:
    """Puts the simulated use into Kafka; the same one again counts once. Raises Retryable where it was not taken."""
    kafka = KafkaSettings(bootstrap_servers=addresses.bootstrap_servers)
    sender = EventSender(kafka, PackagedRegistry(), TopicSettings().events)
    sent = sender.send(events(history(seed, now)), Pacing(), lambda _: None)
    if sent.interrupted:
        raise KeyboardInterrupt
    if sent.unacknowledged:
        raise Retryable(f"Kafka did not take {sent.unacknowledged} simulated events: {sent.reason}")


def least_plan(tokens: int | Decimal) -> str:
    """The smallest of the shipped plans that has room for so many tokens a month; the largest where none has. Pure."""
    _, limits = shipped_plans(datetime(2020, 1, 1, tzinfo=UTC))
    by_size = sorted((limit.amount, limit.plan_id) for limit in limits if limit.amount is not None)
    return next((plan for amount, plan in by_size if amount > tokens), by_size[-1][1])


def _plan_for(account: str, tokens: int, now: datetime) -> Assignment:
    return Assignment(named_level.account(account), now, least_plan(tokens), "demo")


def _is_there(clickhouse: ClickHouse) -> bool:
    """Whether all of the simulated use shows."""
    summed = clickhouse.scalar("SELECT sum(events) FROM usage_by_subject WHERE startsWith(account_id, 'acct-')")
    return int(summed) >= _EVENTS


def _operator_key(clickhouse: ClickHouse, now: datetime) -> str:
    shown = made(secrets.token_bytes)
    key_store.keep(
        clickhouse,
        shown,
        Key(
            shown.key_id,
            hash_of(shown.secret),
            "demo",
            ALL_ACCOUNTS,
            frozenset({Scope.READ, Scope.ADMIN}),
            now,
            "demo",
            now + timedelta(days=1),
        ),
    )
    return text_of(shown)
