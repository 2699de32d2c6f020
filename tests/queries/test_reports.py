"""Reports and the commands that print them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
import typer
from tests.databases import Databases
from tests.rollups.database import with_book
from tests.rollups.rows import EPOCH, Sink
from typer.testing import CliRunner, Result

from taximeter_consumers import queries
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.queries import Filter
from taximeter_consumers.rollups import tick
from taximeter_infra.cli import aggregate, report
from taximeter_schemas.event import AiUsage, HttpUsage, MeterEvent, Outcome, Quality
from taximeter_schemas.settings import ClickHouseSettings
from taximeter_schemas.uuid7 import compose

pytestmark = pytest.mark.integration
ALL = Filter(limit=10_000)
COUNTED = (
    "cost_usd",
    "ai_calls",
    "unpriced_calls",
    "unmeasured_calls",
    "estimated_calls",
    "reported_cost_usd",
    "estimated_cost_usd",
    "input_tokens",
    "output_tokens",
)
MODELS = [("openai", "gpt-4o"), ("openai", "o3"), ("anthropic", "claude-3-5-haiku-20241022"), ("house", "llm-1")]


def events() -> Iterator[MeterEvent]:
    """Two accounts with the same run ids, several workflows and users, every quality."""
    random = Random(7)
    for number in range(300):
        provider, model = random.choice(MODELS)
        used = AiUsage(
            provider=provider,
            model=model,
            input_tokens=random.randrange(10**6),
            output_tokens=random.randrange(10**5),
            quality=random.choice([Quality.REPORTED, Quality.ESTIMATED, Quality.MISSING]),
            reported_cost=random.choice([None, None, Decimal("0.000000000001")]),
        )
        run = number % 20
        yield MeterEvent(
            account_id=f"acme-{run % 2}",
            run_id=f"run-{run // 2}",
            workflow_id=f"flow-{run % 3}",
            user_id=f"user-{run % 4}",
            node_id=f"node-{number % 7}",
            node_type=random.choice(["ai", "http"]),
            outcome=random.choice([Outcome.SUCCESS, Outcome.ERROR]),
            event_id=compose(int(EPOCH.timestamp() * 1000) + number, random.randbytes(10)),
            occurred_at=EPOCH + timedelta(minutes=number),
            duration_us=1_500_000,
            ai=random.choice([used, used, used, None]),
            http=random.choice([None, HttpUsage(requests=1)]),
        )


@pytest.fixture(scope="module")
def filled(databases: Databases) -> Iterator[ClickHouse]:
    """A database with rolled-up events; the tests here share it, and only read."""
    with databases.borrowed() as settings, with_book(settings) as clickhouse:
        Sink(clickhouse).store(list(events()))
        tick(clickhouse)
        yield clickhouse


def test_the_sums_agree_everywhere(filled: ClickHouse) -> None:
    """Runs, nodes, models, workflows, users, node types and totals tell the same sums, to the last digit."""
    totals = queries.totals(filled, ALL)
    reports: list[Callable[[ClickHouse, Filter], list[queries.Row]]] = [
        queries.runs,
        queries.dearest_nodes,
        queries.models,
        queries.workflows,
        queries.users,
        queries.node_types,
    ]
    wanted = {name: totals[name] for name in COUNTED}
    assert wanted["cost_usd"] > 0
    for ask in reports:
        rows = ask(filled, ALL)
        assert {name: sum(row[name] for row in rows) for name in COUNTED} == wanted, ask
    assert totals["events"] == 300


def test_a_run_is_the_sum_of_its_nodes(filled: ClickHouse) -> None:
    """Also where two accounts use one run id: each has its own, and the account tells them apart."""
    both = queries.run(filled, "run-3")
    assert [row["account_id"] for row in both] == ["acme-0", "acme-1"]
    (one,) = queries.run(filled, "run-3", "acme-1")
    nodes = queries.nodes_of_run(filled, "run-3", "acme-1")
    assert {name: sum(node[name] for node in nodes) for name in COUNTED} == {name: one[name] for name in COUNTED}
    assert queries.run(filled, "nobody") == []


def test_filters_narrow_by_account_and_time(filled: ClickHouse) -> None:
    """The accounts' parts make the whole, so do the parts before and after an instant; the limit bounds the rows."""
    whole = queries.totals(filled, ALL)["cost_usd"]
    assert sum(queries.totals(filled, Filter(account))["cost_usd"] for account in ("acme-0", "acme-1")) == whole
    middle = EPOCH + timedelta(hours=2)
    assert (
        sum(queries.totals(filled, part)["cost_usd"] for part in (Filter(until=middle), Filter(since=middle))) == whole
    )
    assert len(queries.runs(filled, Filter(limit=3))) == 3
    started = [row["started_at"] for row in queries.runs(filled, ALL)]
    assert started == sorted(started, reverse=True)
    assert all(moment.tzinfo is not None for moment in started)
    costs = [row["cost_usd"] for row in queries.dearest_nodes(filled, ALL)]
    assert costs == sorted(costs, reverse=True)


def test_totals_of_nothing_are_zero(clickhouse: ClickHouse) -> None:
    """One row of zeros, so that nobody has to look for a missing one."""
    assert queries.totals(clickhouse, ALL)["cost_usd"] == 0
    assert queries.runs(clickhouse, ALL) == []


@pytest.fixture
def command(
    clickhouse: ClickHouse, clickhouse_settings: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Runs a command against the test's database."""
    monkeypatch.setenv("CLICKHOUSE_URL", clickhouse_settings.url.get_secret_value())
    monkeypatch.setenv("CLICKHOUSE_DATABASE", clickhouse_settings.database)
    monkeypatch.setenv("COLUMNS", "200")
    app = typer.Typer()
    aggregate.register(app)
    report.register(app)
    return lambda *args: CliRunner().invoke(app, list(args))


def test_the_commands_tell_what_the_rollups_hold(clickhouse: ClickHouse, command: Callable[..., Result]) -> None:
    """`aggregate` works until nothing is new, every report prints a table and JSON with exact costs as strings."""
    Sink(clickhouse).store(list(events()))
    done = json.loads(command("aggregate", "--json").output)
    assert (done["ticks"], done["records"], done["rates_added"], done["rollup_lag_seconds"]) == (1, 300, 0, 0)
    assert command("aggregate").output == "nothing new\n"
    assert "300 records" in command("aggregate", "--rebuild").output
    cost = queries.totals(clickhouse, ALL)["cost_usd"]
    for name in ("runs", "nodes", "models", "workflows", "users"):
        told = json.loads(command("report", name, "--json", "--limit", "10000").output)
        assert sum(Decimal(row["cost_usd"]) for row in told[name]) == cost
        shown = command("report", name, "--account", "acme-1", "--since", "2026-11-01")
        assert shown.exit_code == 0
        assert "have no price and are not in the sum" in shown.output
    told = json.loads(command("report", "run", "run-3", "--account", "acme-1", "--json").output)
    assert sum(Decimal(node["cost_usd"]) for node in told["nodes"]) == Decimal(told["run"][0]["cost_usd"])
    assert "node-1" in command("report", "run", "run-3").output


def test_commands_refuse_plainly(command: Callable[..., Result]) -> None:
    """An unknown run is exit code 1, a time that is none a usage error."""
    missing = command("report", "run", "nobody")
    assert (missing.exit_code, "no run nobody" in missing.output) == (1, True)
    assert command("report", "runs", "--since", "yesterday").exit_code == 2
    assert command("aggregate", "--follow", "--json").exit_code == 2
