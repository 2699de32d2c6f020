"""One run with its sub-runs, nodes and attempts, in a handful of small queries, however much is stored.

Runs and nodes come from the rollups by primary key, sub-runs by the index on their parent. The events of a run lie
where its row says, by id time, so attempts are read from those minutes of the account alone. A node of one attempt has
its numbers from the rollups; events of the others are priced by the book that the rollups have: the attempts of a node
add up to it, to the last digit, unless events came after the last tick.

The tables behind the views are asked, and one thread: planning the views takes longer than all the reading. Planning
takes its time by column, so none is asked for that is not shown.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.api.reads.attempts import WORDS, attempts_by_server, attempts_of, only_attempt
from taximeter_consumers.api.reads.cost_words import with_cost_words
from taximeter_consumers.api.reads.priced_events import COLUMNS, priced
from taximeter_consumers.api.reads.sql import EXACT, account_is
from taximeter_consumers.rollups.definitions import NODE_COSTS, RUN_COSTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor, Future

    from taximeter_consumers.api.reads.books import Books, Sheets
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.rollups.definitions import Rollup

Row = dict[str, Any]

MOST_RUNS: Final = 500
MOST_NODES: Final = 5_000
MOST_ATTEMPTS: Final = 10_000
MOST_PRICED_HERE: Final = 2_000
"""Runs of more events are priced by the server: planning takes long, and then each event little."""
_MOST_DEPTH: Final = 32
_QUICK: Final = "SETTINGS max_threads = 1"
_NOT_SHOWN: Final = {
    "run_costs": {"memory_breaches", "timeout_breaches"},
    "node_costs": {"memory_breaches", "timeout_breaches", "workflow_id", "user_id"},
}


def _shown(rollup: Rollup) -> str:
    return ", ".join(name for name, _ in rollup.columns if name not in _NOT_SHOWN[rollup.name])


_ROOT: Final = f"""
SELECT {_shown(RUN_COSTS)} FROM stored_run_costs FINAL
WHERE {{where}} AND run_id = {{run_id:String}} AND events > 0 LIMIT 2 {_QUICK}
"""  # noqa: S608 - our own text
_CHILDREN: Final = f"""
SELECT run_id FROM stored_run_costs FINAL
WHERE account_id = {{account:String}} AND parent_run_id IN {{parents:Array(String)}} AND events > 0
ORDER BY started_at, run_id LIMIT {{limit:UInt64}} {_QUICK}
"""  # noqa: S608 - our own text
_RUNS: Final = f"""
SELECT {_shown(RUN_COSTS)} FROM stored_run_costs FINAL
WHERE account_id = {{account:String}} AND run_id IN {{runs:Array(String)}} AND events > 0
ORDER BY started_at, run_id {_QUICK}
"""  # noqa: S608 - our own text
_NODES: Final = f"""
SELECT {_shown(NODE_COSTS)} FROM stored_node_costs FINAL
WHERE account_id = {{account:String}} AND run_id IN {{runs:Array(String)}} AND events > 0
ORDER BY started_at, run_id, node_id LIMIT {{limit:UInt64}} {_QUICK}
"""  # noqa: S608 - our own text
_SCOPE: Final = (
    "account_id = {account:String} AND id_time >= {first:DateTime64(3, 'UTC')}"
    " AND id_time <= {last:DateTime64(3, 'UTC')} AND run_id IN {runs:Array(String)}"
)
_EVENTS: Final = f"""
SELECT {{columns}} FROM stored_events FINAL WHERE {_SCOPE} LIMIT {{limit:UInt64}} {_QUICK}, {EXACT}
"""  # noqa: S608 - our own text


@dataclass
class Found:
    """The rows of a tree; `runs` begins with the root. `is_complete` is false where a limit cut something off."""

    runs: list[Row]
    nodes: dict[str, list[Row]] = field(default_factory=dict)
    attempts: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    is_complete: bool = True


@dataclass(frozen=True)
class Ahead:
    """What is asked of a run while its own row is still under way: the runs right below it, and its nodes."""

    children: Future[list[tuple[Any, ...]]]
    nodes: Future[list[Row]]


def roots(clickhouse: ClickHouse, run_id: str, account: str) -> list[Row]:
    """The runs of this id: at most two, to see whether there is more than one."""
    sql = _ROOT.replace("{where}", account_is(account))
    return [with_cost_words(row) for row in clickhouse.records(sql, {"run_id": run_id, "account": account})]


def look_ahead(clickhouse: ClickHouse, run_id: str, account: str, workers: Executor) -> Ahead:
    """Asks for what most runs need, by `workers`, and does not wait. The account is one, not all of them."""
    return Ahead(
        workers.submit(clickhouse.rows, _CHILDREN, _below(account, [run_id])),
        workers.submit(clickhouse.records, _NODES, _nodes_of(account, [run_id])),
    )


def tree_of(
    clickhouse: ClickHouse,
    root: Row,
    books: Books,
    workers: Executor,
    *,
    with_attempts: bool,
    ahead: Ahead | None = None,
) -> Found:
    """Everything below a run; `ahead` is what was asked of it before."""
    found = Found([root])
    ahead = ahead or look_ahead(clickhouse, root["run_id"], root["account_id"], workers)
    _add_runs(clickhouse, found, ahead.children.result())
    nodes = ahead.nodes.result()
    below = [row["run_id"] for row in found.runs[1:]]
    if below:
        nodes += clickhouse.records(_NODES, _nodes_of(root["account_id"], below))
    found.is_complete &= len(nodes) <= MOST_NODES
    by_run: dict[str, list[Row]] = defaultdict(list)
    for row in nodes[:MOST_NODES]:
        by_run[row["run_id"]].append(with_cost_words(row))
    found.nodes = by_run
    if with_attempts:
        tried_again = any(row["attempts"] > 1 for row in nodes)
        sheets = workers.submit(books.current, clickhouse) if tried_again else None
        _add_attempts(clickhouse, found, books, sheets)
    return found


def _nodes_of(account: str, runs: Sequence[str]) -> dict[str, Any]:
    return {"account": account, "runs": runs, "limit": MOST_NODES + 1}


def _below(account: str, parents: Sequence[str]) -> dict[str, Any]:
    return {"account": account, "parents": parents, "limit": MOST_RUNS + 1}


def _add_runs(clickhouse: ClickHouse, found: Found, first: list[tuple[Any, ...]]) -> None:
    """Level by level; a run that names itself or one below it as its parent stands once."""
    account, root = found.runs[0]["account_id"], found.runs[0]["run_id"]
    seen, rows = {root}, first
    for _ in range(_MOST_DEPTH):
        left = MOST_RUNS - len(seen)
        fresh = [run_id for (run_id,) in rows if run_id not in seen]
        found.is_complete &= len(fresh) <= left
        parents = fresh[:left]
        seen.update(parents)
        if not parents:
            break
        rows = clickhouse.rows(_CHILDREN, _below(account, parents))
    else:
        found.is_complete = False
    below = sorted(seen - {root})
    if below:
        found.runs.extend(map(with_cost_words, clickhouse.records(_RUNS, {"account": account, "runs": below})))


def _add_attempts(clickhouse: ClickHouse, found: Found, books: Books, sheets: Future[Sheets] | None) -> None:
    """`sheets`: where some events surely need a price, the book is asked for already."""
    where = {
        "account": found.runs[0]["account_id"],
        "runs": [row["run_id"] for row in found.runs],
        "first": min(row["first_id_time"] for row in found.runs),
        "last": max(row["last_id_time"] for row in found.runs),
        "limit": MOST_PRICED_HERE + 1,
    }
    rows = None
    if sum(row["events"] for row in found.runs) <= MOST_PRICED_HERE:
        rows = _attempts_here(clickhouse, found, where, books, sheets)
    if rows is None:
        book = books.current(clickhouse).book
        rows = attempts_by_server(clickhouse, _SCOPE, {**where, "limit": MOST_ATTEMPTS + 1}, book)
    found.is_complete &= len(rows) <= MOST_ATTEMPTS
    by_node: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows[:MOST_ATTEMPTS]:
        by_node[row["run_id"], row["node_id"]].append(row)
    found.attempts = by_node


def _attempts_here(
    clickhouse: ClickHouse, found: Found, where: dict[str, Any], books: Books, sheets: Future[Sheets] | None
) -> list[Row] | None:
    """The attempts without the server's pricing; None where there are too many events by now."""
    nodes = {(row["run_id"], row["node_id"]): row for rows in found.nodes.values() for row in rows}
    columns = COLUMNS if sheets else WORDS
    while True:
        events = clickhouse.records(_EVENTS.replace("{columns}", columns), where)
        if len(events) > MOST_PRICED_HERE:
            return None
        alone, others = _apart(events, nodes)
        if columns == COLUMNS or not others:
            return alone + attempts_of(
                priced(clickhouse, books, others, sheets.result() if sheets and others else None)
            )
        columns = COLUMNS


def _apart(events: Sequence[Row], nodes: dict[tuple[str, str], Row]) -> tuple[list[Row], list[Row]]:
    """The attempts of nodes that have but one and no event that came after the last tick; and all other events."""
    of_node: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for event in events:
        of_node[event["run_id"], event["node_id"]].append(event)
    alone, others = [], []
    for place, rows in of_node.items():
        node = nodes.get(place)
        if node is not None and node["events"] == len(rows) and len({row["attempt"] for row in rows}) == 1:
            alone.append(only_attempt(node, rows))
        elif node is not None:
            others.extend(rows)
    return alone, others
