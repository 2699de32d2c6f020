"""What a quote rests on: finished runs of customers, values that were there, nothing where nothing is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.quota.truth.world import World, micros
from tests.rollups.calls import calls
from tests.rollups.rows import EPOCH

from taximeter_consumers.quota.truth.quotes import quotation
from taximeter_consumers.rollups import tick
from taximeter_schemas.event import Context, PluginUsage

pytestmark = pytest.mark.integration
SINCE = micros(EPOCH - timedelta(days=1))


def test_no_history_is_no_zero(world: World) -> None:
    """No runs, no amounts."""
    told = quotation(world.clickhouse, "a", "w", SINCE)
    assert (told.runs, told.lacking, told.p50, told.p95, told.nodes) == (0, 0, {}, {}, ())


def test_quantiles_are_values_of_runs(world: World) -> None:
    """Of forty runs the twentieth and the thirty-eighth, to the last digit; retries count; what still runs does not."""
    events = [
        event
        for number in range(40)
        for event in calls(
            1, run=f"r{number}", first=number, workflow_id="w", executions=1,
            plugin=PluginUsage(plugin_id="ocr", custom_units={"page": Decimal(number) / 2} if number > 18 else {}),
        )
    ]  # fmt: skip
    retried = calls(1, run="r39", first=99, workflow_id="w", executions=1, attempt=2, node_id="n0")
    now = datetime.now(UTC)
    others = [
        *calls(1, run="early", workflow_id="w", occurred_at=EPOCH - timedelta(days=9)),
        *calls(1, run="going-on", workflow_id="w", occurred_at=now),
        *calls(1, run="other", workflow_id="other"),
        *calls(1, run="own", workflow_id="w", context=Context.SYSTEM),
        *calls(1, run="elsewhere", workflow_id="w", account="b"),
    ]
    world.sink.store([*events, *retried, *others])
    tick(world.clickhouse)
    told = quotation(world.clickhouse, "a", "w", SINCE)
    costs = sorted(world.clickhouse.rows("SELECT cost_usd FROM run_costs WHERE match(run_id, '^r\\\\d+$')"))
    assert (told.runs, told.lacking) == (40, 0)
    assert (told.p50["input_tokens"], told.p95["input_tokens"]) == (1019, 1037)
    assert (told.p50["cost_usd"], told.p95["cost_usd"]) == (costs[19][0], costs[37][0])
    assert (told.p50["plugin_units.page"], told.p95["plugin_units.page"]) == (Decimal("9.5"), Decimal("18.5"))
    assert {node.node_id: node.runs for node in told.nodes} == {"n0": 14, "n1": 13, "n2": 13}
    assert told.nodes[0].p95["executions"] == 2


def test_few_runs_are_quoted_by_their_nodes(world: World) -> None:
    """The sum of what each node may use; the cost of those runs that lack a price is told to lack something."""
    world.use(3, run="r1", workflow_id="w")
    world.use(3, run="r2", workflow_id="w", first=60, model="brand-new")
    told = quotation(world.clickhouse, "a", "w", SINCE)
    assert (told.runs, told.lacking) == (2, 1)
    assert told.p95["input_tokens"] == sum(node.p95["input_tokens"] for node in told.nodes) == 1060 + 1061 + 1062
    assert told.p50["executions"] == 3
