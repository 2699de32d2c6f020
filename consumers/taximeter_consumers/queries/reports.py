"""The reports as functions: a filter in, rows out, dearest first where there is an order of cost.

Every row has `cost_usd` as an exact Decimal of US dollars, its parts, and beside it what that sum does not say:
`cost_source`; of `ai_calls` the `unpriced_calls` and `unmeasured_calls` and of `plugin_uses` the `unpriced_plugins`
(not in the sum), and `estimated_cost_usd` (in it, by a guess). Times are UTC with their zone. Raises Retryable when
ClickHouse is away, Misconfigured when the tables are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

Row = dict[str, Any]
"""One row of a report: column to value, in the order of the columns."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FOREVER: Final = 2**63 - 1
# Columns that many reports have in common.
_SHARED: Final = ("sums", "spent", "money")


@dataclass(frozen=True)
class Filter:
    """Which part of the rollups a report covers.

    `account` None means all. `since` (inclusive) and `until` (exclusive) look at when a run or node started, at the
    hour of model costs and at the minute of users and totals. `limit` is the most rows that are answered.
    """

    account: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 100

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the SQL files."""
        return {
            "account": self.account or "",
            "since": 0 if self.since is None else _micros(self.since),
            "until": _FOREVER if self.until is None else _micros(self.until),
            "limit": self.limit,
        }


def run(clickhouse: ClickHouse, run_id: str, account: str | None = None) -> list[Row]:
    """The run; more than one row where several accounts use the same run id, none where it is unknown."""
    return records(clickhouse, "run", {"run_id": run_id, "account": account or ""})


def nodes_of_run(clickhouse: ClickHouse, run_id: str, account: str | None = None) -> list[Row]:
    """The nodes of a run in the order in which they started."""
    return records(clickhouse, "nodes_of_run", {"run_id": run_id, "account": account or ""})


def runs(clickhouse: ClickHouse, chosen: Filter) -> list[Row]:
    """Runs, the one that started last first."""
    return records(clickhouse, "runs", chosen.parameters)


def dearest_nodes(clickhouse: ClickHouse, chosen: Filter) -> list[Row]:
    """Nodes of single runs by cost."""
    return records(clickhouse, "dearest_nodes", chosen.parameters)


def models(clickhouse: ClickHouse, chosen: Filter) -> list[Row]:
    """Models by cost."""
    return records(clickhouse, "models", chosen.parameters)


def workflows(clickhouse: ClickHouse, chosen: Filter) -> list[Row]:
    """Workflows of an account by cost."""
    return records(clickhouse, "workflows", chosen.parameters)


def users(clickhouse: ClickHouse, chosen: Filter) -> list[Row]:
    """Users of an account by cost."""
    return records(clickhouse, "users", chosen.parameters)


def node_types(clickhouse: ClickHouse, chosen: Filter) -> list[Row]:
    """Node types by the time that they took."""
    return records(clickhouse, "node_types", chosen.parameters)


def totals(clickhouse: ClickHouse, chosen: Filter) -> Row:
    """One row: everything that the filter covers."""
    return records(clickhouse, "totals", chosen.parameters)[0]


def records(clickhouse: ClickHouse, name: str, parameters: dict[str, Any]) -> list[Row]:
    """The rows of the report whose SQL file is called `name`."""
    return [{key: _zoned(value) for key, value in row.items()} for row in clickhouse.records(_sql(name), parameters)]


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _zoned(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


@cache
def _sql(name: str) -> str:
    return Template(_text(name)).substitute({shared: _text(shared) for shared in _SHARED})


def _text(name: str) -> str:
    text = (resources.files("taximeter_consumers.queries") / f"{name}.sql").read_text(encoding="utf-8")
    return text.rstrip("\n")
