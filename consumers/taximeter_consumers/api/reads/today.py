"""The totals of today, UTC, from the rollups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taximeter_consumers.api.reads.sql import text

if TYPE_CHECKING:
    from datetime import datetime

    from taximeter_consumers.clickhouse import ClickHouse


def totals_since(clickhouse: ClickHouse, account_id: str, user_id: str, since: datetime) -> dict[str, Any]:
    """One row of sums since a minute; an empty account or user is all of them. Raises Retryable."""
    sql = text(
        "today",
        account="rollup.account_id = {account:String}" if account_id else "true",
        user="rollup.user_id = {user:String}" if user_id else "true",
    )
    asked = {"account": account_id, "user": user_id, "since": int(since.timestamp())}
    return clickhouse.records(sql, asked)[0]
