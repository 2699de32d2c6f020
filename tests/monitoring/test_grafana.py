"""The Grafana dashboard, on the real ClickHouse: every panel's SQL runs, and says what the product says."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from tests.monitoring.grafana import DASHBOARD, INFRA, View, panels, variables

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.rollups import rollup_lag_seconds

EVERYTHING = View()


@pytest.fixture
def quota(filled: ClickHouse) -> ClickHouse:
    """With limits as the quota service writes them: a window of now, and one that is over."""
    for name, over in (("month", "NULL"), ("day", "now64(6) - INTERVAL 1 HOUR")):
        filled.execute(
            "INSERT INTO stored_quota_state (root, level, kind, account_id, limit_id, meter, window, resets_at, used,"
            f" limit_amount, added, version) SELECT 'account/acme-0', 'account/acme-0', 'account', 'acme-0', '{name}',"
            f" 'total_tokens', '{name}', {over}, 45, 80, 20, 1"
        )
    return filled


def ask(clickhouse: ClickHouse, title: str, view: View = EVERYTHING) -> list[tuple[Any, ...]]:
    """The rows of a panel."""
    return clickhouse.rows(view.sql(panels()[title]))


def total(clickhouse: ClickHouse, what: str, of: str = "run_costs", where: str = "true") -> Any:
    """A sum over one of the product's views."""
    return clickhouse.scalar(f"SELECT sum({what}) FROM {of} WHERE {where}")


def test_the_dashboard_is_whole() -> None:
    """Each panel says what it means, has a place of its own, and asks the datasource that is provisioned."""
    uid = re.findall(r"uid: (\S+)", (INFRA / "grafana/provisioning/datasources/taximeter.yml").read_text())
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"]) == len(panels())
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["description"]
        assert [panel["datasource"]["uid"]] == uid
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_panels_read_views() -> None:
    """Tables behind the views have copies; one panel reads one, because no view has it."""
    readers = {title for title, sql in panels().items() if re.search(r"\bstored_(?!at\b)", sql)}
    assert readers == {"Rollups behind"}


@pytest.mark.integration
@pytest.mark.parametrize("title", panels())
def test_every_panel_answers_whatever_is_chosen(quota: ClickHouse, title: str) -> None:
    """All, some, nothing that is there, names with quotes; by hour to month."""
    for granularity in variables()["granularity"]["query"].split(","):
        ask(quota, title, View(granularity=granularity))
    for chosen in ({"account": ["acme-0", "acme-1"], "model": ["o3"]}, {"account": ["o'hara"], "model": ["'"]}):
        ask(quota, title, View(chosen=chosen))


@pytest.mark.integration
def test_variables_list_what_is_there(filled: ClickHouse) -> None:
    """Accounts and models."""
    assert filled.rows(variables()["account"]["query"]) == [("acme-0",), ("acme-1",)]
    assert ("gpt-4o",) in filled.rows(variables()["model"]["query"])


@pytest.mark.integration
def test_panels_add_up_to_the_runs(filled: ClickHouse) -> None:
    """Cost, tokens, time, and what the cost lacks: those of the runs, of all accounts and of one."""
    for view, where in ((EVERYTHING, "true"), (View(chosen={"account": ["acme-1"]}), "account_id = 'acme-1'")):
        assert ask(filled, "Cost", view) == [(total(filled, "cost_usd", where=where),)]
        calls = total(filled, "ai_calls", where=where)
        for title, what in (
            ("Calls without a cost", "unpriced_calls + unmeasured_calls"),
            ("Calls with an estimated cost", "estimated_calls"),
        ):
            ((share,),) = ask(filled, title, view)
            assert share == pytest.approx(total(filled, what, where=where) / calls)
            assert 0 < share < 1
        for granularity in ("hour", "month"):
            finer = View(chosen=view.chosen, granularity=granularity)
            by_model = ask(filled, "Cost by model", finer)
            assert sum(row[-1] for row in by_model) == total(filled, "cost_usd", "model_costs", where)
            tokens = ask(filled, "Tokens", finer)
            assert sum(map(sum, (row[1:] for row in tokens))) == total(
                filled, "input_tokens + output_tokens", where=where
            )
            seconds = sum(row[-1] for row in ask(filled, "Time by node type", finer))
            assert seconds == pytest.approx(total(filled, "duration_us", where=where) / 1e6)


@pytest.mark.integration
def test_the_top_is_the_reports_top(filled: ClickHouse) -> None:
    """Workflows, users and nodes by cost, the dearest first, with what their cost lacks."""
    workflows = ask(filled, "Top workflows")
    assert {name: usd for name, usd, *_ in workflows} == dict(
        filled.rows("SELECT toString(workflow_id), sum(cost_usd) FROM charges GROUP BY 1")
    )
    assert [usd for _, usd, *_ in workflows] == sorted((usd for _, usd, *_ in workflows), reverse=True)
    users = ask(filled, "Top users")
    assert {name: (usd, tokens) for name, usd, tokens, _ in users} == {
        name: (usd, tokens)
        for name, usd, tokens in filled.rows(
            "SELECT user_id, sum(cost_usd), sum(total_tokens) FROM user_days GROUP BY user_id"
        )
    }
    nodes = ask(filled, "Top nodes")
    assert len(nodes) == 10
    dearest = filled.scalar(
        "SELECT max(usd) FROM (SELECT sum(cost_usd) AS usd FROM node_costs GROUP BY workflow_id, node_id)"
    )
    assert nodes[0][2] == dearest


@pytest.mark.integration
def test_operations_are_those_of_the_ledger(filled: ClickHouse) -> None:
    """What was stored and dead-lettered, the parts that it made, and how far the rollups are behind."""
    for seconds in (60, 3_600):
        rows = ask(filled, "Events stored", View(interval_seconds=seconds))
        assert sum(row[1] for row in rows) * seconds == pytest.approx(total(filled, "stored", "ingest_batches"))
    letters = ask(filled, "Dead letters")
    assert sum(row[1] for row in letters) == total(filled, "dead_lettered", "ingest_batches")
    assert ask(filled, "Rollups behind") == [(0.0,)] == [(rollup_lag_seconds(filled),)]
    filled.execute("SYSTEM FLUSH LOGS part_log")
    assert "stored_events" in {name for _, name, _ in ask(filled, "Parts made")}


@pytest.mark.integration
def test_quotas_are_those_of_now(quota: ClickHouse) -> None:
    """Used of what is allowed, add-ons included; windows that are over are not shown."""
    (row,) = ask(quota, "Quotas")
    assert row[:3] == ("account/acme-0", "total_tokens", "month")
    assert row[3:] == (Decimal(45), Decimal(45), Decimal(0), Decimal(100))
    assert ask(quota, "Quotas", View(chosen={"account": ["acme-1"]})) == []
