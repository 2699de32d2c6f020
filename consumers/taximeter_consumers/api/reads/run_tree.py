"""One run with its sub-runs, nodes and attempts, in a handful of small queries, however much is stored.

Runs and nodes come from the rollups by primary key, sub-runs by the index on their parent. The events of a run lie
where its row says, by id time, so attempts are read from those minutes of the account alone, and priced by the book
that the rollups have: the attempts of a node add up to it, to the last digit, unless events came after the last tick.

The tables behind the views are asked, whole rows and one thread: planning the views takes longer than all the reading.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.api.reads.attempts import attempts_by_server, attempts_of
from taximeter_consumers.api.reads.cost_words import with_cost_words
from taximeter_consumers.api.reads.priced_events import COLUMNS, priced
from taximeter_consumers.api.reads.sql import EXACT, account_is

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from taximeter_consumers.api.reads.books import Books, Sheets
    from taximeter_consumers.clickhouse import ClickHouse

Row = dict[str, Any]

MOST_RUNS: Final = 500
MOST_NODES: Final = 5_000
MOST_ATTEMPTS: Final = 10_000
MOST_PRICED_HERE: Final = 2_000
"""Runs of more events are priced by the server: planning takes long, and then each event little."""
_MOST_DEPTH: Final = 32
_QUICK: Final = "SETTINGS max_threads = 1"
_ROOT: Final = f"""
SELECT * FROM stored_run_costs FINAL
WHERE {{where}} AND run_id = {{run_id:String}} AND events > 0 ORDER BY account_id LIMIT 2 {_QUICK}
"""  # noqa: S608 - our own text
_CHILDREN: Final = f"""
SELECT run_id FROM stored_run_costs FINAL
WHERE account_id = {{account:String}} AND parent_run_id IN {{parents:Array(String)}} AND events > 0
ORDER BY started_at, run_id LIMIT {{limit:UInt64}} {_QUICK}
"""  # noqa: S608 - our own text
_RUNS: Final = f"""
SELECT * FROM stored_run_costs FINAL
WHERE account_id = {{account:String}} AND run_id IN {{runs:Array(String)}} AND events > 0
ORDER BY started_at, run_id {_QUICK}
"""  # noqa: S608 - our own text
_NODES: Final = f"""
SELECT * FROM stored_node_costs FINAL
WHERE account_id = {{account:String}} AND run_id IN {{runs:Array(String)}} AND events > 0
ORDER BY started_at, run_id, node_id LIMIT {{limit:UInt64}} {_QUICK}
"""  # noqa: S608 - our own text
_SCOPE: Final = (
    "account_id = {account:String} AND id_time >= {first:DateTime64(3, 'UTC')}"
    " AND id_time <= {last:DateTime64(3, 'UTC')} AND run_id IN {runs:Array(String)}"
)
_EVENTS: Final = f"""
SELECT {COLUMNS} FROM stored_events FINAL WHERE {_SCOPE} LIMIT {{limit:UInt64}} {_QUICK}, {EXACT}
"""  # noqa: S608 - our own text


@dataclass
class Found:
    """The rows of a tree; `runs` begins with the root. `is_complete` is false where a limit cut something off."""

    runs: list[Row]
    nodes: dict[str, list[Row]] = field(default_factory=dict)
    attempts: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    is_complete: bool = True


def roots(clickhouse: ClickHouse, run_id: str, account: str) -> list[Row]:
    """The runs of this id: at most two, to see whether there is more than one."""
    sql = _ROOT.replace("{where}", account_is(account))
    return [with_cost_words(row) for row in clickhouse.records(sql, {"run_id": run_id, "account": account})]


def tree_of(clickhouse: ClickHouse, root: Row, books: Books, workers: Executor, *, with_attempts: bool) -> Found:
    """Everything below a run. What does not wait for each other is asked at the same time, by `workers`."""
    found = Found([root])
    account = root["account_id"]
    sheets = workers.submit(books.current, clickhouse) if with_attempts else None
    _add_children(clickhouse, found, account)
    named = {"account": account, "runs": [row["run_id"] for row in found.runs]}
    asked = workers.submit(clickhouse.records, _NODES, {**named, "limit": MOST_NODES + 1})
    if sheets is not None:
        _add_attempts(clickhouse, found, named, books, sheets)
    nodes = asked.result()
    found.is_complete &= len(nodes) <= MOST_NODES
    by_run: dict[str, list[Row]] = defaultdict(list)
    for row in nodes[:MOST_NODES]:
        by_run[row["run_id"]].append(with_cost_words(row))
    found.nodes = by_run
    return found


def _add_children(clickhouse: ClickHouse, found: Found, account: str) -> None:
    """Level by level; a run that names itself or one below it as its parent stands once."""
    parents = [found.runs[0]["run_id"]]
    seen = set(parents)
    for _ in range(_MOST_DEPTH):
        left = MOST_RUNS - len(seen)
        asked = {"account": account, "parents": parents, "limit": left + len(seen) + 1}
        fresh = [run_id for (run_id,) in clickhouse.rows(_CHILDREN, asked) if run_id not in seen]
        if len(fresh) > left:
            found.is_complete = False
        parents = fresh[:left]
        seen.update(parents)
        if not parents:
            break
    else:
        found.is_complete = False
    below = sorted(seen - {found.runs[0]["run_id"]})
    if below:
        rows = clickhouse.records(_RUNS, {"account": account, "runs": below})
        found.runs.extend(with_cost_words(row) for row in rows)


def _add_attempts(
    clickhouse: ClickHouse, found: Found, named: dict[str, Any], books: Books, sheets: Future[Sheets]
) -> None:
    where = {
        **named,
        "first": min(row["first_id_time"] for row in found.runs),
        "last": max(row["last_id_time"] for row in found.runs),
        "limit": MOST_PRICED_HERE + 1,
    }
    events: list[Row] = []
    if sum(row["events"] for row in found.runs) <= MOST_PRICED_HERE:
        events = clickhouse.records(_EVENTS, where)
    if events and len(events) <= MOST_PRICED_HERE:
        rows = attempts_of(priced(clickhouse, books, events, sheets.result()))
    else:
        book = sheets.result().book
        rows = attempts_by_server(clickhouse, _SCOPE, {**where, "limit": MOST_ATTEMPTS + 1}, book)
    found.is_complete &= len(rows) <= MOST_ATTEMPTS
    by_node: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows[:MOST_ATTEMPTS]:
        by_node[row["run_id"], row["node_id"]].append(row)
    found.attempts = by_node
