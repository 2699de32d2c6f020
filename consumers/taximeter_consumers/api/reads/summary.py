"""Sums of the rollups by dimensions and time: which rollup answers a question, and the question as SQL.

Each rollup keeps some dimensions. The first that has all that a question names answers it; where none has them, the
question is refused, with what goes together. Times count by whole hours; by node type, a node counts when it began.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.api.models.summary import Dimension, Granularity
from taximeter_consumers.api.problems import Problem
from taximeter_consumers.api.reads.sql import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taximeter_consumers.clickhouse import ClickHouse

Row = dict[str, Any]
_HOUR: Final = timedelta(hours=1)

COLUMNS: Final[Mapping[Dimension, str]] = {
    Dimension.ACCOUNT: "account_id",
    Dimension.USER: "user_id",
    Dimension.PROJECT: "project_id",
    Dimension.WORKFLOW: "workflow_id",
    Dimension.CONTEXT: "context",
    Dimension.QUALITY: "quality",
    Dimension.PROVIDER: "provider",
    Dimension.MODEL: "model",
    Dimension.USAGE_TYPE: "usage_type",
    Dimension.NODE_TYPE: "node_type",
    Dimension.NODE: "node_id",
}
_STARTS: Final = {
    Granularity.HOUR: "toStartOfHour({time}, 'UTC')",
    Granularity.DAY: "toStartOfDay({time}, 'UTC')",
    Granularity.MONTH: "toDateTime(toStartOfMonth({time}, 'UTC'), 'UTC')",
}


@dataclass(frozen=True)
class Counted:
    """A rollup that can be summed: its view, its time, and the columns that it keeps apart."""

    view: str
    time: str
    columns: frozenset[str]
    by: str = "occurredAt"


ROLLUPS: Final = (
    Counted(
        "usage_by_subject",
        "minute",
        frozenset({"account_id", "user_id", "project_id", "workflow_id", "context", "quality"}),
    ),
    Counted("model_costs", "hour", frozenset({"account_id", "provider", "model", "usage_type"})),
    Counted(
        "node_costs",
        "started_at",
        frozenset({"account_id", "user_id", "workflow_id", "node_type", "node_id"}),
        by="startedAt",
    ),
)


@dataclass(frozen=True)
class Question:
    """Columns to group by, exact values to filter by (column to value), hours, and the most rows."""

    columns: Sequence[str]
    equals: Mapping[str, str]
    granularity: Granularity
    since: datetime | None
    until: datetime | None
    limit: int


def rollup_for(names: set[str]) -> Counted:
    """The rollup that has all of these columns. Raises the problem invalid."""
    found = next((rollup for rollup in ROLLUPS if names <= rollup.columns), None)
    if found is None:
        together = "; ".join(", ".join(sorted(_words(rollup))) for rollup in ROLLUPS)
        raise Problem(
            "invalid",
            f"these dimensions and filters are not kept together; these are: {together}."
            " GET /v1/usage/summary answers any filter, from single events",
        )
    return found


def ask(clickhouse: ClickHouse, question: Question) -> tuple[Counted, list[Row]]:
    """The rollup that answered, and at most `limit` + 1 rows."""
    rollup = rollup_for({*question.columns, *question.equals})
    keys = [f"rollup.{column} AS {column}" for column in question.columns]
    groups = list(question.columns)
    if question.granularity is not Granularity.ALL:
        keys.insert(0, _STARTS[question.granularity].format(time=f"rollup.{rollup.time}") + " AS period")
        groups.insert(0, "period")
    order = [*(["period"] if "period" in groups else []), "cost_usd DESC", *question.columns]
    sql = text(
        "summary",
        keys="".join(f"{key},\n    " for key in keys),
        sums=text("sums", "taximeter_consumers.queries"),
        rollup=rollup.view,
        where=" AND ".join(_conditions(rollup, question)),
        groups=f"GROUP BY {', '.join(groups)}" if groups else "",
        order=", ".join(order),
    )
    bounds = {name: _seconds(moment) for name, moment in (("since", question.since), ("until", question.until))}
    rows = clickhouse.records(sql, {**question.equals, **bounds, "limit": question.limit + 1})
    return rollup, rows


def whole_hours(since: datetime | None, until: datetime | None) -> tuple[datetime | None, datetime | None]:
    """The hours that the time touches."""
    first = since.replace(minute=0, second=0, microsecond=0) if since else None
    last = until.replace(minute=0, second=0, microsecond=0) if until else None
    return first, last + _HOUR if last is not None and until is not None and last < until else last


def _conditions(rollup: Counted, question: Question) -> list[str]:
    found = [f"rollup.{column} = {{{column}:String}}" for column in question.equals]
    if question.since is not None:
        found.append(f"rollup.{rollup.time} >= toDateTime({{since:UInt32}}, 'UTC')")
    if question.until is not None:
        found.append(f"rollup.{rollup.time} < toDateTime({{until:UInt32}}, 'UTC')")
    return found or ["true"]


def _words(rollup: Counted) -> set[str]:
    return {dimension.value for dimension, column in COLUMNS.items() if column in rollup.columns}


def _seconds(moment: datetime | None) -> int:
    return 0 if moment is None else int(moment.astimezone(UTC).timestamp())
