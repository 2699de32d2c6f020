"""Runs as a list: what SQL says, in either order, page by page."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import Get
from tests.api.test_runs import same
from tests.api.use import MINE, TREE

from taximeter_consumers.api.cursor import cursor_of
from taximeter_consumers.api.models.run_list import RunOrder
from taximeter_consumers.api.reads.run_list import RunsAsked
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_schemas.money import plain

pytestmark = pytest.mark.integration
PATH = "/api/metering/runs"
ORDERS = {"recent": "started_at DESC", "cost": "cost_usd DESC"}


def pages(get: Get, **parameters: Any) -> list[dict[str, Any]]:
    """The runs of all pages."""
    found, cursor = [], None
    while True:
        answer = get(PATH, **parameters, **({"cursor": cursor} if cursor else {}))
        found += answer["runs"]
        cursor = answer["nextCursor"]
        if cursor is None:
            return found


@pytest.mark.parametrize("order", ORDERS)
def test_pages_have_every_run_once_in_order(get: Get, sql: ClickHouse, order: str) -> None:
    """Of all accounts, with an id that two of them use, however long a page is."""
    wanted = sql.rows(f"SELECT account_id, run_id FROM run_costs ORDER BY {ORDERS[order]}, account_id, run_id")
    for limit in (7, 500):
        found = [(run["accountId"], run["runId"]) for run in pages(get, order=order, limit=limit)]
        assert found == wanted


def test_a_run_of_the_list_says_what_sql_says(get_mine: Get, sql: ClickHouse) -> None:
    """Cost with what it lacks, waste, use and outcomes, to the last digit."""
    for run in get_mine(PATH, order="cost", limit=20)["runs"]:
        (row,) = sql.records(
            "SELECT * FROM run_costs WHERE account_id = {account:String} AND run_id = {run:String}",
            {"account": MINE, "run": run["runId"]},
        )
        same(run["cost"], row)
        assert run["spent"]["wastedCostUsd"] == plain(row["wasted_cost_usd"])
        assert run["usage"]["totalTokens"] == row["total_tokens"]
        assert run["outcomes"]["errors"] == row["errors"]


def test_filters_and_times(get: Get, sql: ClickHouse) -> None:
    """Exact names, and when a run began: from inclusive, until exclusive, to the microsecond."""
    found = {run["runId"] for run in pages(get, accountId=MINE, workflowId="triage", userId="ada", context="customer")}
    wanted = sql.rows(
        f"SELECT run_id FROM run_costs WHERE account_id = '{MINE}' AND workflow_id = 'triage' AND user_id = 'ada'"
        " AND context = 'customer'"
    )
    assert found == {run for (run,) in wanted}
    assert TREE in found
    first, last = (run["startedAt"] for run in (pages(get)[-1], pages(get)[0]))
    assert last not in {run["startedAt"] for run in pages(get, **{"from": first, "until": last})}
    assert first in {run["startedAt"] for run in pages(get, **{"from": first, "until": last})}
    assert get(PATH, accountId="nobody") == {"runs": [], "nextCursor": None}


@pytest.mark.parametrize(
    "place",
    [
        ("1", "a"),
        (1, "a", "b"),
        ("x", "a", "b"),
        ("NaN", "a", "b"),
        ("1e400", "a", "b"),
        ("9" * 30, "a", "b"),
        ("1", "a\n", "b"),
    ],
)
def test_a_made_up_cursor_is_refused(client: TestClient, keys: dict[str, str], place: tuple[Any, ...]) -> None:
    """So is one of another question: 422, never a 5xx."""
    for order in RunOrder:
        question = RunsAsked(MINE, {}, None, None, order).question
        asked = {"order": order.value, "cursor": cursor_of(place, question)}
        answer = client.get(PATH, params=asked, headers={"X-API-Key": keys["mine"]})
        assert answer.status_code == 422, (order, answer.text)


def test_a_cursor_of_the_other_order_is_refused(get: Get, client: TestClient, keys: dict[str, str]) -> None:
    """A page of one order says nothing about the other."""
    cursor = get(PATH, limit=1)["nextCursor"]
    answer = client.get(PATH, params={"order": "cost", "cursor": cursor}, headers={"X-API-Key": keys["operator"]})
    assert answer.status_code == 422


def test_a_key_says_whose_it_is(get: Get, get_mine: Get) -> None:
    """Its account and scopes; an operator's has no account. Never the secret."""
    mine, operators = get_mine("/v1/key"), get("/v1/key")
    assert (mine["accountId"], mine["scopes"]) == (MINE, ["billing", "read"])
    assert (operators["accountId"], operators["expiresAt"]) == (None, None)
    assert set(mine) == {"keyId", "name", "accountId", "scopes", "expiresAt"}
