"""The views by day and by workflow: the rollups summed, never older, and read by the primary key."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import product
from typing import Any

import pytest
from tests.queries.use import filled, filled_settings
from tests.rollups.calls import calls
from tests.rollups.rows import EPOCH, Sink

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.rollups import tick

pytestmark = pytest.mark.integration
__all__ = ["filled", "filled_settings"]
Row = dict[str, Any]
BY_DAY = {
    "account_days": (),
    "user_days": ("user_id",),
    "project_days": ("project_id",),
    "workflow_days": ("workflow_id",),
    "context_days": ("context",),
    "quality_days": ("quality",),
}
OF_MINUTES = {
    "minute", "day", "account_id", "user_id", "project_id", "workflow_id", "context", "quality", "cost_source",
}  # fmt: skip
DAYS = {
    "day = '2026-10-12'": 1,
    "day IN ('2026-10-12', '2026-10-13')": 2,
    "day >= '2026-10-12' AND day < '2026-10-14'": 2,
}
MANY = """
INSERT INTO stored_usage_by_subject (account_id, minute, user_id, events, cost_usd, version)
SELECT
    'acct-' || toString(intDiv(number, 43200)), toDateTime('2026-10-01 00:00:00', 'UTC') + 60 * (number % 43200),
    'u', 1, 1, 1
FROM numbers(43200 * 8)
"""


def cost_source(row: Row) -> str:
    """The rule of the rollups' views, in Python."""
    lacking = row["unpriced_calls"] + row["unmeasured_calls"] + row["unpriced_plugins"]
    uses = row["ai_calls"] + row["plugin_uses"]
    if not uses:
        return "priced" if row["cost_usd"] else "none"
    if lacking:
        return "unpriced" if lacking == uses and not row["cost_usd"] else "mixed"
    if not row["reported_calls"]:
        return "priced"
    return "mixed" if row["priced_calls"] + row["plugin_uses"] or row["resource_cost_usd"] else "reported"


def added(rows: list[Row], columns: list[str]) -> Row:
    """What rows come to."""
    total: Row = {}
    for column in columns:
        values = [row[column] for row in rows]
        if column == "max_rss_bytes":
            total[column] = max(values)
        elif isinstance(values[0], dict):
            total[column] = {unit: sum(value.get(unit, 0) for value in values) for unit in sorted(set().union(*values))}
        else:
            total[column] = sum(values)
    return total | {"cost_source": cost_source(total)}


def told(row: Row, columns: list[str]) -> Row:
    """The measures of a row, and the source of its cost."""
    return {name: row[name] for name in (*columns, "cost_source")}


def grouped(rows: list[Row], keys: tuple[str, ...], columns: list[str]) -> dict[tuple[Any, ...], Row]:
    """The sums of rows by some keys."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return {key: added(of_key, columns) for key, of_key in groups.items()}


def test_a_day_is_the_sum_of_its_minutes(filled: ClickHouse) -> None:
    """In every view: each column of the finest rollup, and the source of the cost by the same rule."""
    minutes = [row | {"day": row["minute"].date()} for row in filled.records("SELECT * FROM usage_by_subject")]
    for view, more in BY_DAY.items():
        keys = ("account_id", "day", *more)
        found = filled.records(f"SELECT * FROM {view}")
        columns = [name for name in found[0] if name not in (*keys, "cost_source")]
        assert set(columns) == set(minutes[0]) - OF_MINUTES
        stored = {tuple(row[key] for key in keys): told(row, columns) for row in found}
        assert stored == grouped(minutes, keys, columns), view
        assert len(stored) == len(found)


def test_workflows_are_the_sum_of_their_runs(filled: ClickHouse) -> None:
    """With how many runs there were, when, and what was spent in vain; all that was spent is in one of four parts."""
    found = filled.records("SELECT * FROM workflow_costs")
    keys, others = ("account_id", "workflow_id"), ("runs", "started_at", "ended_at", "cost_source")
    columns = [name for name in found[0] if name not in (*keys, *others)]
    runs = filled.records("SELECT * FROM run_costs")
    wanted = grouped(runs, keys, columns)
    for row in found:
        assert told(row, columns) == wanted[row["account_id"], row["workflow_id"]]
        of_flow = [run for run in runs if all(run[key] == row[key] for key in keys)]
        assert row["runs"] == len(of_flow)
        assert row["started_at"] == min(run["started_at"] for run in of_flow)
        assert row["ended_at"] == max(run["ended_at"] for run in of_flow)
        assert row["useful_cost_usd"] + row["wasted_cost_usd"] == row["cost_usd"]
        assert row["wasted_cost_usd"] == sum(row[f"{why}_cost_usd"] for why in ("retried", "failed", "cancelled")) > 0
    assert len(found) == len(wanted) == 6


def test_a_view_is_never_older_than_its_rollup(clickhouse: ClickHouse) -> None:
    """What a tick has written is in it at once; no row of it is stored."""
    sink = Sink(clickhouse)
    for first in (0, 2):
        sink.store(calls(2, first=first))
        tick(clickhouse)
        days = clickhouse.rows("SELECT account_id, day, ai_calls FROM account_days")
        assert days == [("a", EPOCH.date(), first + 2)]
    kinds = clickhouse.rows(
        "SELECT DISTINCT engine FROM system.tables WHERE database = currentDatabase() AND name LIKE '%\\_days'"
    )
    assert kinds == [("View",)]


def test_an_account_and_a_day_are_found_by_the_primary_key(clickhouse: ClickHouse) -> None:
    """Of 345,600 rows in 43 granules, three at most are read for a day, or for two days, of one account."""
    clickhouse.execute(MANY)
    for view, (condition, days) in product(BY_DAY, DAYS.items()):
        query = f"SELECT sum(cost_usd) FROM {view} WHERE account_id = 'acct-5' AND {condition}"
        plan = "\n".join(line for (line,) in clickhouse.rows(f"EXPLAIN indexes = 1 {query}"))
        chosen, of = map(int, re.findall(r"Granules: (\d+)/(\d+)", plan[plan.index("PrimaryKey") :])[0])
        assert chosen <= 3 < 40 < of, plan
        assert clickhouse.scalar(query) == days * 1440
