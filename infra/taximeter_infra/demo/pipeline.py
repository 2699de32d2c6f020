"""The demo from start to end: stack, sink, aggregator, executor; then wait for the rollups, look, and check.

Everything it starts ends with what the caller holds it by, and with this process, however that ends: the servers and
the services run under wardens. With `daemon` the stack is a daemon instead, and only the services end.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, TopicPartition

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.queries import reports, usage_summary
from taximeter_consumers.rollups.lag import rollup_lag_seconds
from taximeter_infra.demo.checks import Check, Seen, judge
from taximeter_infra.demo.executor import Workload, run_executor
from taximeter_infra.demo.services import Starter
from taximeter_infra.prepare import prepare
from taximeter_infra.stack.daemon import start_detached
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import StackAddresses, StackPlan, default_data_dir
from taximeter_schemas.errors import Retryable
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from decimal import Decimal

    from taximeter_infra.stack.child import Child

_PATIENCE_SECONDS = 90.0
_BEAT_SECONDS = 0.1
_MOST_ROWS = 100_000


@dataclass(frozen=True)
class DemoPlan:
    """What to run. With `keep` data stay, in the usual data directory; with `daemon` the stack stays up as well."""

    workload: Workload
    keep: bool = False
    daemon: bool = False
    data_dir: Path | None = None

    @property
    def sink_group(self) -> str:
        """The consumer group of the demo's sink."""
        return f"demo-{self.workload.prefix}"


@dataclass(frozen=True)
class DemoResult:
    """What the demo saw."""

    addresses: StackAddresses
    summary: dict[str, Any]
    seen: Seen
    checks: list[Check]
    rollup_lag_seconds: float


@dataclass(frozen=True)
class Progress:
    """Who is told what happens: phases by name, and runs of the executor as they finish."""

    phase: Callable[[str], None]
    run_finished: Callable[[dict[str, Any]], None]


def run_demo(plan: DemoPlan, progress: Progress, held: ExitStack) -> DemoResult:
    """Runs it all; what it started goes on until `held` is closed. Raises Misconfigured or Retryable with the log to
    look at."""
    addresses = _stack(plan, progress, held)
    progress.phase("starting the sink and the aggregator")
    starter = Starter(held, addresses)
    services = [
        starter.start("sink", "sink", "--group", plan.sink_group),
        starter.start("aggregate", "aggregate", "--follow", "--interval", "0.25"),
    ]
    held.callback(progress.phase, "stopping what was started")
    progress.phase("running workflows")
    log = addresses.data_dir / "demo" / "executor.log"
    summary = run_executor(plan.workload, addresses.environment(), log, progress.run_finished)
    emitted_at = time.monotonic()
    progress.phase("waiting for the rollups")
    with closing(connect(ClickHouseSettings(url=addresses.clickhouse_url))) as clickhouse:
        _await_rollups(clickhouse, plan.workload.prefix, summary["events_emitted"]["acknowledged"], services)
        lag = round(time.monotonic() - emitted_at, 3)
        seen = look(clickhouse, addresses, plan.workload.prefix)
    return DemoResult(addresses, summary, seen, judge(summary, seen), lag)


def look(clickhouse: ClickHouse, addresses: StackAddresses, prefix: str) -> Seen:
    """What the far end of the pipeline shows, of this demo's runs."""
    everything = reports.Filter(limit=_MOST_ROWS)
    found = {
        "runs": [row for row in reports.runs(clickhouse, everything) if row["run_id"].startswith(prefix)],
        "nodes": reports.dearest_nodes(clickhouse, everything),
        "models": reports.models(clickhouse, everything),
        "workflows": reports.workflows(clickhouse, everything),
        "users": reports.users(clickhouse, everything),
        "node_types": reports.node_types(clickhouse, everything),
    }
    sums: dict[str, Decimal] = {
        table: clickhouse.scalar(f"SELECT sum(cost_usd) FROM {table}")  # noqa: S608 - a closed list of names
        for table in ("run_costs", "node_costs", "usage_by_subject", "charges", "account_days")
    }
    summary = usage_summary(clickhouse, everything)
    total = summary.total
    # A model's row has its calls alone.
    beside_models = total["plugin_cost_usd"] + total["resource_cost_usd"] + summary.other_adjusted_cost_usd
    sums["model_costs with plugins and resources"] = summary.models_cost_usd + beside_models
    return Seen(_stored(clickhouse, prefix), _dead_letters(addresses), total, found, sums)


def _stack(plan: DemoPlan, progress: Progress, held: ExitStack) -> StackAddresses:
    progress.phase("starting the broker and ClickHouse")
    if plan.daemon:
        wanted = StackPlan.on_free_ports(plan.data_dir or default_data_dir())
        return start_detached(wanted, progress.phase, on_ready=prepare)
    folder = plan.data_dir or (default_data_dir() if plan.keep else _temporary(held))
    stack = held.enter_context(LocalStack(StackPlan.on_free_ports(folder)))
    progress.phase("creating topics, tables and the price book")
    prepare(stack.addresses)
    return stack.addresses


def _temporary(held: ExitStack) -> Path:
    return Path(held.enter_context(tempfile.TemporaryDirectory(prefix="taximeter-demo-")))


def _await_rollups(clickhouse: ClickHouse, prefix: str, emitted: int, services: list[Child]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _caught_up(clickhouse, prefix, emitted):
        for service in services:
            if service.exit_code is not None:
                raise Retryable(f"the {service.spec.name} ended with code {service.exit_code}:\n{service.tail()}")
        if time.monotonic() > deadline:
            raise Retryable(
                f"after {_PATIENCE_SECONDS:.0f} s {_stored(clickhouse, prefix)} of {emitted} events are stored and the"
                f" rollups are {rollup_lag_seconds(clickhouse):.1f} s behind; look at {services[0].spec.log}"
            )
        time.sleep(_BEAT_SECONDS)


def _caught_up(clickhouse: ClickHouse, prefix: str, emitted: int) -> bool:
    return _stored(clickhouse, prefix) >= emitted and rollup_lag_seconds(clickhouse) == 0


def _stored(clickhouse: ClickHouse, prefix: str) -> int:
    return int(
        clickhouse.scalar("SELECT count() FROM events WHERE startsWith(run_id, {prefix:String})", {"prefix": prefix})
    )


def _dead_letters(addresses: StackAddresses) -> int:
    topic = TopicSettings().dead_letters
    kafka = KafkaSettings(bootstrap_servers=addresses.bootstrap_servers)
    consumer = Consumer({**kafka.client_config(), "group.id": "taximeter-demo"})
    try:
        partitions = consumer.list_topics(topic, timeout=15).topics[topic].partitions
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=15) for number in partitions]
    finally:
        consumer.close()
    return sum(high - low for low, high in ends)
