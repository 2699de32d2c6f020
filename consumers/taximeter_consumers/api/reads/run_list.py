"""Pages of runs, the dearest or the latest first.

A page is read in two steps: which runs it has, by a few columns, then their whole rows by key. It begins after a run
and not at a number, so runs that come meanwhile neither repeat nor skip another; one whose cost changes between two
pages may, in the order of cost, change its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.api.cursor import cursor_of, place_of, useless
from taximeter_consumers.api.models.run_list import RunOrder
from taximeter_consumers.api.reads.cost_words import with_cost_words
from taximeter_consumers.api.reads.sql import account_is
from taximeter_consumers.api.reads.usage_filter import bare
from taximeter_schemas.money import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taximeter_consumers.clickhouse import ClickHouse

Row = dict[str, Any]
Place = tuple[str, str, str]
"""(value of the order, account, run)."""

_COLUMNS: Final = ("user_id", "workflow_id", "context")
_VALUES: Final = {RunOrder.COST: "cost_usd", RunOrder.RECENT: "toUnixTimestamp64Micro(started_at)"}
_BOUND: Final = {RunOrder.COST: "{after:Decimal(38, 18)}", RunOrder.RECENT: "{after:Int64}"}
_KEYS: Final = """
SELECT toString({value}), account_id, run_id FROM stored_run_costs FINAL
WHERE {where} AND events > 0
ORDER BY {value} DESC, account_id, run_id LIMIT {{limit:UInt64}}
"""
_ROWS: Final = """
SELECT * FROM stored_run_costs FINAL
WHERE account_id IN {accounts:Array(String)} AND run_id IN {runs:Array(String)} AND events > 0
"""
_MOST_MICROS: Final = 2**53


@dataclass(frozen=True)
class RunsAsked:
    """Exact values by column, a time by when runs began (`until` exclusive), and an order. Empty account: all."""

    account: str
    equals: Mapping[str, str]
    since: datetime | None
    until: datetime | None
    order: RunOrder

    @property
    def question(self) -> dict[str, Any]:
        """What a cursor is of."""
        times = {"since": self.since, "until": self.until}
        return {**self.equals, **times, "account": self.account, "order": self.order.value}


def runs_page(clickhouse: ClickHouse, asked: RunsAsked, cursor: str | None, limit: int) -> tuple[list[Row], str | None]:
    """At most `limit` runs, and the cursor of the next page. Raises the problem invalid for a wrong cursor."""
    after = None if cursor is None else after_place(cursor, asked)
    found = [(str(value), str(account), str(run)) for value, account, run in _keys(clickhouse, asked, after, limit + 1)]
    page = found[:limit]
    return _rows(clickhouse, page), cursor_of(page[-1], asked.question) if len(found) > limit else None


def after_place(cursor: str, asked: RunsAsked) -> Place:
    """The run that a page begins after. Raises the problem invalid."""
    value, account, run = place_of(cursor, asked.question, (str, str, str))
    try:
        number = Decimal(value) if asked.order is RunOrder.COST else Decimal(int(value))
        fits = number.is_finite() and abs(number) < _MOST_MICROS and len(value) <= 40
    except (InvalidOperation, ValueError):
        raise useless() from None
    if not fits or any(len(name) > 1_024 or not name.isprintable() for name in (account, run)):
        raise useless()
    return plain(number), account, run


def _keys(clickhouse: ClickHouse, asked: RunsAsked, after: Place | None, limit: int) -> list[tuple[Any, ...]]:
    parameters: dict[str, Any] = {**asked.equals, "account": asked.account, "limit": limit}
    where = [account_is(asked.account), *(f"{name} = {{{name}:String}}" for name in _COLUMNS if name in asked.equals)]
    for name, sign, moment in (("since", ">=", asked.since), ("until", "<", asked.until)):
        if moment is not None:
            where.append(f"started_at {sign} {{{name}:DateTime64(6, 'UTC')}}")
            parameters[name] = bare(moment)
    value = _VALUES[asked.order]
    if after is not None:
        bound = _BOUND[asked.order]
        where.append(
            f"({value} < {bound} OR ({value} = {bound}"
            " AND (account_id, run_id) > ({after_account:String}, {after_run:String})))"
        )
        parameters |= dict(zip(("after", "after_account", "after_run"), after, strict=True))
    return list(clickhouse.rows(_KEYS.format(value=value, where=" AND ".join(where)), parameters))


def _rows(clickhouse: ClickHouse, page: list[Place]) -> list[Row]:
    if not page:
        return []
    named = {"accounts": sorted({account for _, account, _ in page}), "runs": [run for _, _, run in page]}
    found = {(row["account_id"], row["run_id"]): row for row in clickhouse.records(_ROWS, named)}
    return [with_cost_words(found[account, run]) for _, account, run in page if (account, run) in found]
