"""Sums by who, what and when: the numbers of SQL over the rollups."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import Get
from tests.api.use import MINE

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_schemas.money import plain

pytestmark = pytest.mark.integration
PATH = "/api/metering/summary"
DIMENSIONS = {
    "account": ("accountId", "account_id", "usage_by_subject"),
    "user": ("userId", "user_id", "usage_by_subject"),
    "project": ("projectId", "project_id", "usage_by_subject"),
    "workflow": ("workflowId", "workflow_id", "usage_by_subject"),
    "context": ("context", "context", "usage_by_subject"),
    "quality": ("quality", "quality", "usage_by_subject"),
    "provider": ("provider", "provider", "model_costs"),
    "model": ("model", "model", "model_costs"),
    "usageType": ("usageType", "usage_type", "model_costs"),
    "nodeType": ("nodeType", "node_type", "node_costs"),
    "node": ("nodeId", "node_id", "node_costs"),
}


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_groups_say_what_sql_says(get: Get, sql: ClickHouse, dimension: str) -> None:
    """Each dimension alone: cost to the last digit, tokens, and what the cost lacks."""
    wire, column, view = DIMENSIONS[dimension]
    rows = get(PATH, groupBy=dimension)["rows"]
    found = {
        row[wire]: (
            row["cost"]["costUsd"],
            row["usage"]["inputTokens"],
            row["cost"]["unpricedCalls"],
            row["cost"]["unmeasuredCalls"],
            row["events"],
        )
        for row in rows
    }
    wanted = sql.rows(
        f"SELECT toString({column}), sum(cost_usd), sum(input_tokens), sum(unpriced_calls), sum(unmeasured_calls),"
        f" sum(events) FROM {view} GROUP BY 1"
    )
    assert found == {name: (plain(cost), *counts) for name, cost, *counts in wanted}
    costs = [Decimal(row["cost"]["costUsd"]) for row in rows]
    assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize(("granularity", "start"), [("hour", "Hour"), ("day", "Day"), ("month", "Month")])
def test_periods_are_those_of_utc(get: Get, sql: ClickHouse, granularity: str, start: str) -> None:
    """In order of time, each with its sum."""
    rows = get(PATH, granularity=granularity, accountId=MINE)["rows"]
    wanted = sql.rows(
        f"SELECT toUnixTimestamp(toDateTime(toStartOf{start}(minute, 'UTC'), 'UTC')) AS at, sum(cost_usd)"
        " FROM usage_by_subject WHERE account_id = {account:String} GROUP BY at ORDER BY at",
        {"account": MINE},
    )

    found = [(int(datetime.fromisoformat(row["period"]).timestamp()), row["cost"]["costUsd"]) for row in rows]
    assert found == [(at, plain(cost)) for at, cost in wanted]
    assert "userId" not in rows[0]


def test_times_are_taken_to_whole_hours_and_told(get: Get, sql: ClickHouse) -> None:
    """From back, until on: what is covered stands in the answer."""
    answer = get(PATH, **{"from": "2026-11-01T10:20:00Z", "until": "2026-11-02T10:20:00+00:00"})
    assert (answer["from"], answer["until"]) == ("2026-11-01T10:00:00Z", "2026-11-02T11:00:00Z")
    (row,) = answer["rows"]
    wanted = sql.scalar(
        "SELECT sum(cost_usd) FROM usage_by_subject"
        " WHERE minute >= '2026-11-01 10:00:00' AND minute < '2026-11-02 11:00:00'"
    )
    assert row["cost"]["costUsd"] == plain(wanted)


def test_filters_and_dimensions_together(get: Get, sql: ClickHouse) -> None:
    """Every value is compared whole."""
    rows = get(PATH, groupBy=["workflow", "user"], accountId=MINE, context="customer")["rows"]
    wanted = sql.rows(
        "SELECT workflow_id, user_id, sum(cost_usd) FROM usage_by_subject"
        " WHERE account_id = {account:String} AND context = 'customer' GROUP BY 1, 2",
        {"account": MINE},
    )
    found = {(row["workflowId"], row["userId"]): row["cost"]["costUsd"] for row in rows}
    assert found == {(workflow, user): plain(cost) for workflow, user, cost in wanted}


def test_what_is_not_kept_together_is_refused_with_what_is(client: TestClient, keys: dict[str, str]) -> None:
    """Not answered with something else."""
    answer = client.get(PATH, params={"groupBy": ["model", "user"]}, headers={"X-API-Key": keys["operator"]})
    assert answer.status_code == 422
    assert "model, provider, usageType" in answer.json()["detail"]


def test_nothing_is_a_row_of_zeros_without_groups_and_no_row_with_them(get: Get) -> None:
    """And never an error."""
    (row,) = get(PATH, accountId="nobody")["rows"]
    assert (row["cost"]["costUsd"], row["cost"]["costSource"], row["events"]) == ("0", "none", 0)
    assert get(PATH, accountId="nobody", groupBy="user")["rows"] == []


def test_a_limit_is_told(get: Get) -> None:
    """hasMore says that rows were left out."""
    answer = get(PATH, groupBy="workflow", limit=2)
    assert (len(answer["rows"]), answer["hasMore"]) == (2, True)
