"""Every sum that must not change, and every place in which a name may stand, asked of the tables themselves."""

from __future__ import annotations

from typing import Any

from taximeter_consumers.clickhouse import ClickHouse

_ROLLUPS = {
    "run_costs": "account_id, run_id",
    "node_costs": "account_id, run_id, node_id",
    "model_costs": "account_id, hour, provider, model",
    "usage_by_subject": "account_id, minute, project_id, workflow_id, context, quality",
    "quota_usage": "account_id, minute, project_id, key_id",
    "transaction_usage": "account_id, transaction_id, minute",
    "charges": "account_id, quarter, provider, model, unit",
    "events": "account_id, run_id, event_id",
    "invoices": "account_id, period",
    "quota_state": "account_id, kind",
}
_TEXTS = """
SELECT table, name FROM system.columns
WHERE database = {database:String} AND startsWith(table, 'stored_') AND type LIKE '%String%'
"""


def sums(clickhouse: ClickHouse) -> dict[str, list[tuple[Any, ...]]]:
    """By everything but the user, to the last digit."""
    found = {}
    for view, key in _ROLLUPS.items():
        numbers = clickhouse.rows(
            "SELECT name FROM system.columns WHERE database = {database:String} AND table = {view:String}"
            " AND match(type, '^(U?Int|Decimal|Nullable\\\\(Decimal)') AND NOT match(name, '^(kafka_|batch_id)')",
            {"database": clickhouse.database, "view": view},
        )
        summed = ", ".join(f"toString(sum({name}))" for (name,) in numbers if view != "quota_state" or name == "used")
        where = "WHERE kind != 'user'" if view == "quota_state" else ""
        found[view] = clickhouse.rows(
            f"SELECT {key}, count() > 0, {summed} FROM {view} {where} GROUP BY {key} ORDER BY {key}"
        )
    return found


def named(clickhouse: ClickHouse, name: str) -> dict[str, int]:
    """In which column of which stored table the name stands in how many rows, old versions of rows included."""
    columns: dict[str, list[str]] = {}
    for table, column in clickhouse.rows(_TEXTS, {"database": clickhouse.database}):
        columns.setdefault(table, []).append(column)
    found = {}
    for table, texts in columns.items():
        counts = ", ".join(f"countIf(position(toString({column}), {{name:String}}) > 0)" for column in texts)
        (row,) = clickhouse.rows(f"SELECT {counts} FROM {table}", {"name": name})
        found |= {f"{table}.{column}": int(count) for column, count in zip(texts, row, strict=True) if count}
    return found
