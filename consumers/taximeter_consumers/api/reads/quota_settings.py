"""Assignments and add-ons as they are stored: an account's own, or all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.quota.plans.named_level import Level
from taximeter_schemas.quota.subject import LevelKind

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

Row = dict[str, Any]
_ASSIGNMENTS: Final = """
SELECT level, account_id, name, plan_id, valid_from FROM quota_assignments
WHERE {account:String} = '' OR (level != 'organisation' AND account_id = {account:String})
ORDER BY account_id, level, name, valid_from LIMIT 10000
"""
_ADD_ONS: Final = """
SELECT add_on_id, level, account_id, name, meter, toString(amount) AS amount, starts_at, ends_at, reason
FROM quota_add_ons
WHERE {account:String} = '' OR (level != 'organisation' AND account_id = {account:String})
ORDER BY account_id, level, name, starts_at, add_on_id LIMIT 10000
"""


def assignments(clickhouse: ClickHouse, account_id: str) -> list[Row]:
    """Of an account and what is in it; of everybody where it is empty."""
    return [_named(row) for row in clickhouse.records(_ASSIGNMENTS, {"account": account_id})]


def add_ons(clickhouse: ClickHouse, account_id: str) -> list[Row]:
    """The same for add-ons."""
    return [_named(row) for row in clickhouse.records(_ADD_ONS, {"account": account_id})]


def _named(row: Row) -> Row:
    return {**row, "level": Level(LevelKind(row["level"]), row["account_id"], row["name"]).key}
