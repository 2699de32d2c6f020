"""Runs as trees, on the real ClickHouse: their numbers are those of SQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import Get
from tests.api.use import MINE, RIVAL, TREE
from tests.rollups.rows import Sink

from taximeter_consumers.api.reads.attempts import attempts_by_server, attempts_of
from taximeter_consumers.api.reads.books import Books, Sheets
from taximeter_consumers.api.reads.priced_events import COLUMNS, priced
from taximeter_consumers.api.reads.run_tree import roots, tree_of
from taximeter_consumers.api.run_view import weakest, worst
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_schemas.money import plain
from taximeter_schemas.uuid7 import compose

pytestmark = pytest.mark.integration
MONEY = tuple(f"{part}cost_usd" for part in ("", "model_", "plugin_", "resource_", "adjusted_", "estimated_"))
COUNTS = ("ai_calls", "unpriced_calls", "unmeasured_calls", "unpriced_plugins", "priced_calls", "reported_calls")


def camel(name: str) -> str:
    """The wire's name."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def same(cost: dict[str, Any], row: dict[str, Any]) -> None:
    """The cost on the wire says what a row of SQL says, digit by digit."""
    for name in MONEY:
        assert cost[camel(name)] == plain(row[name]), name
    for name in COUNTS:
        assert cost[camel(name)] == row[name], name
    assert cost["costSource"] == row["cost_source"]


def test_every_run_and_node_says_what_sql_says(get: Get, sql: ClickHouse) -> None:
    """Cost, its parts, its source and what it lacks; and a node is the sum of its attempts, to the last digit."""
    rows = sql.records("SELECT * FROM run_costs WHERE run_id IN ('run-0', 'run-1', 'run-7', 'run-33', 'formulas')")
    assert len(rows) == 5
    for row in rows:
        run = get(f"/api/metering/runs/{row['run_id']}")["run"]
        same(run["cost"], row)
        assert run["spent"]["wastedCostUsd"] == plain(row["wasted_cost_usd"])
        assert run["usage"]["totalTokens"] == row["total_tokens"]
        nodes = sql.records("SELECT * FROM node_costs WHERE run_id = {run:String}", {"run": row["run_id"]})
        assert {node["nodeId"] for node in run["nodes"]} == {node["node_id"] for node in nodes}
        for node in run["nodes"]:
            (stored,) = [one for one in nodes if one["node_id"] == node["nodeId"]]
            same(node["cost"], stored)
            for name in MONEY:
                whole = sum((Decimal(attempt["cost"][camel(name)]) for attempt in node["attempts"]), Decimal(0))
                assert plain(whole) == plain(stored[name]), name
            for name in COUNTS:
                assert sum(attempt["cost"][camel(name)] for attempt in node["attempts"]) == stored[name], name
            assert sum(attempt["usage"]["executions"] for attempt in node["attempts"]) == stored["executions"]


def test_a_tree_has_its_sub_runs_and_adds_them_up(get_mine: Get) -> None:
    """Level by level; what is unknown is counted beside the sum."""
    answer = get_mine(f"/api/metering/runs/{TREE}")
    root = answer["run"]
    assert answer["isComplete"] is True
    (below,) = root["runs"]
    (lowest,) = below["runs"]
    assert [root["runId"], below["runId"], lowest["runId"]] == [TREE, "below", "lowest"]
    one = Decimal("0.0032")
    assert root["cost"]["costUsd"] == plain(3 * one)
    assert root["together"] == {
        "runs": 3,
        "costUsd": plain(4 * one + Decimal("0.025")),
        "wastedCostUsd": plain(2 * one),
        "totalTokens": 0,
        "aiCalls": 5,
        "unpricedCalls": 1,
        "unmeasuredCalls": 0,
        "unpricedPlugins": 0,
    }
    assert (root["outcome"], below["outcome"], lowest["outcome"]) == ("success", "timeout", "success")


def test_attempts_say_how_they_ended_and_what_they_cost(get_mine: Get) -> None:
    """The first failed, the second called two models, one without a price."""
    nodes = get_mine(f"/api/metering/runs/{TREE}")["run"]["nodes"]
    (write,) = [node for node in nodes if node["nodeId"] == "write"]
    first, second = write["attempts"]
    assert (first["outcome"], first["errorMessage"], first["cost"]["costUsd"]) == ("error", "too long", "0.0032")
    assert second["models"] == [{"provider": "house", "model": "llm-9"}, {"provider": "openai", "model": "gpt-4o"}]
    assert (second["outcome"], second["cost"]["costSource"], second["cost"]["unpricedCalls"]) == ("success", "mixed", 1)
    assert (write["outcome"], write["attemptCount"], write["spent"]["retriedCostUsd"]) == ("success", 2, "0.0032")
    assert (write["quality"], second["events"]) == ("reported", 2)


def test_a_run_that_names_itself_as_its_parent_stands_once(get_mine: Get) -> None:
    """A circle has an end."""
    run = get_mine("/api/metering/runs/loop")["run"]
    assert (run["runs"], run["together"]["runs"]) == ([], 1)


def test_an_operator_names_the_account_where_two_use_one_id(get: Get, client: TestClient, keys: dict[str, str]) -> None:
    """Otherwise the answer is 409; an account's own key finds its own."""
    answer = client.get(f"/api/metering/runs/{TREE}", headers={"X-API-Key": keys["operator"]})
    assert (answer.status_code, answer.json()["type"]) == (409, "/docs#ambiguous")
    for account in (MINE, RIVAL):
        assert get(f"/api/metering/runs/{TREE}", accountId=account)["run"]["accountId"] == account


def test_attempts_can_be_left_out(get_mine: Get) -> None:
    """For a quick look at the numbers of runs and nodes."""
    run = get_mine(f"/api/metering/runs/{TREE}", attempts=False)["run"]
    assert all(node["attempts"] == [] for node in run["nodes"])
    assert run["cost"]["costUsd"] == "0.0096"


def test_attempts_priced_here_are_those_of_the_server(sql: ClickHouse) -> None:
    """Both ways, over all events, re-rated ones as well: the same rows."""
    events = sql.records(f"SELECT {COLUMNS} FROM stored_events FINAL")
    books = Books()
    here = attempts_of(priced(sql, books, events))
    book = books.current(sql).book
    assert book.has_adjustments
    assert book.has_plugins
    server = attempts_by_server(sql, "true", {"limit": 10_000}, book)
    key = ("run_id", "node_id", "attempt")
    # Runs of several accounts have one id here and there; accounts do not share attempts elsewhere.
    mine = {tuple(row[name] for name in key): row for row in here if row["run_id"] != TREE}
    theirs = {tuple(row[name] for name in key): row for row in server if row["run_id"] != TREE}
    assert mine.keys() == theirs.keys()
    for place, row in mine.items():
        other = dict(theirs[place])
        other["qualities"] = sorted(other["qualities"])
        assert row == other, place


def test_a_copy_of_an_event_does_not_change_the_tree(migrated_tree: ClickHouse) -> None:
    """Of two copies the first arrival counts, whatever run the second one names, and it is priced once."""
    (root,) = roots(migrated_tree, "r", "a")
    with ThreadPoolExecutor(2) as workers:
        found = tree_of(migrated_tree, root, Books(), workers, with_attempts=True)
    (attempt,) = found.attempts["r", "n"]
    assert (attempt["events"], attempt["cost_usd"]) == (1, root["cost_usd"])
    assert roots(migrated_tree, "elsewhere", "a") == []


def test_events_after_the_last_tick_are_attempts_and_not_yet_of_the_node(migrated_tree: ClickHouse) -> None:
    """A node's only attempt has the node's numbers, without a price being looked up; a fresh event is priced here."""
    from tests.api.use import event

    (root,) = roots(migrated_tree, "r", "a")
    books = Unasked()
    with ThreadPoolExecutor(2) as workers:
        found = tree_of(migrated_tree, root, books, workers, with_attempts=True)
        (attempt,) = found.attempts["r", "n"]
        assert (attempt["cost_usd"], attempt["models"]) == (
            root["cost_usd"],
            [{"provider": "openai", "model": "gpt-4o"}],
        )
        assert books.asked == 0
        # It lies where the run's row says that its events are.
        again = event("a", "r", "n", attempt=2)
        fresh = again.model_copy(update={"event_id": compose(int(root["first_id_time"].timestamp() * 1000), b"0" * 10)})
        Sink(migrated_tree, offset=50, batches=9).store([fresh])
        found = tree_of(migrated_tree, root, books, workers, with_attempts=True)
    first, second = found.attempts["r", "n"]
    assert first["cost_usd"] == second["cost_usd"] == found.nodes["r"][0]["cost_usd"] == root["cost_usd"]
    assert books.asked == 1


class Unasked(Books):
    """Counts how often somebody wants the book."""

    asked = 0

    def current(self, clickhouse: ClickHouse) -> Sheets:
        self.asked += 1
        return super().current(clickhouse)


@pytest.fixture
def migrated_tree(migrated_database: Any) -> Any:
    """A database with an event that came again under another run."""
    from tests.api.use import event
    from tests.rollups.database import with_book

    from taximeter_consumers.rollups import tick

    with with_book(migrated_database) as clickhouse:
        sink, first = Sink(clickhouse), event("a", "r", "n")
        sink.store([first])
        sink.store([first.model_copy(update={"run_id": "elsewhere"})])
        tick(clickhouse)
        yield clickhouse


def test_the_weakest_quality_and_the_worst_outcome_count() -> None:
    """A word that nobody knows counts as unknown; nothing of nothing."""
    assert weakest(["reported", "", "estimated"]) == "estimated"
    assert weakest(["reported", "new-word"]) == "unknown"
    assert weakest([]) == ""
    assert worst(["success", "cancelled"]) == "cancelled"
    assert worst(["success", "odd"]) == "unknown"
    assert worst([]) == ""
