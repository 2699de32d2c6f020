"""What runs used, with everything that ran inside them: the use of their own nodes, and of the runs that name them as
their parent, at any depth.

The platform's own runs (context system) count for nobody. A run has the context and the parent of its earliest event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from taximeter_consumers.quota.truth.asked_data import asked_rows
from taximeter_consumers.quota.truth.usage import LACKING, LACKS, Values, aggregate, meter_columns, sums_of, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taximeter_consumers.clickhouse import ClickHouse

Run = tuple[str, str]
"""(account, run)."""

# A chain of parents that is longer than this is no tree of runs.
_DEEPEST: Final = 64
_STRUCTURE: Final = "account_id String, run_id String"
_CHILDREN: Final = """
SELECT DISTINCT account_id, parent_run_id, run_id
FROM stored_run_costs
WHERE account_id IN (SELECT account_id FROM asked) AND parent_run_id != ''
  AND (account_id, parent_run_id) IN (SELECT account_id, run_id FROM asked)
  AND events > 0
"""
_USED: Final = """
SELECT account_id, run_id, {sums}
FROM
(
    SELECT account_id, run_id, {columns} FROM node_costs
    WHERE (account_id, run_id) IN (SELECT account_id, run_id FROM asked)
)
WHERE (account_id, run_id) NOT IN (
    SELECT account_id, run_id FROM run_costs
    WHERE (account_id, run_id) IN (SELECT account_id, run_id FROM asked) AND context = 'system'
)
GROUP BY account_id, run_id
SETTINGS prefer_column_name_to_alias = 1
"""
_OF_NODES: Final = {
    "code_us": "if(node_type = 'code', duration_us, 0)",
    "http_bytes": "http_bytes_out + http_bytes_in",
    LACKING: LACKS,
}


def read_runs(clickhouse: ClickHouse, runs: Iterable[Run], meters: Iterable[str]) -> dict[Run, Values]:
    """The amounts of each run that has used anything. Raises Retryable."""
    asked = sorted(set(runs))
    if not asked:
        return {}
    inside = _inside(clickhouse, asked)
    columns = {name: _OF_NODES.get(name, name) for name in meter_columns(meters)}
    sql = _USED.format(
        sums=", ".join(aggregate(name) for name in columns),
        columns=", ".join(f"{expression} AS {name}" for name, expression in columns.items()),
    )
    every = sorted(set().union(*inside.values()))
    rows = asked_rows(clickhouse, sql, _STRUCTURE, every)
    used = {(row[0], row[1]): values_of(tuple(columns), row[2:]) for row in rows}
    found = {run: [used[one] for one in sorted(members) if one in used] for run, members in inside.items()}
    return {run: sums_of(values) for run, values in found.items() if values}


def _inside(clickhouse: ClickHouse, runs: list[Run]) -> dict[Run, set[Run]]:
    """By run, itself and all that ran inside it: one small query for each generation."""
    children: defaultdict[Run, set[Run]] = defaultdict(set)
    known, generation = set(runs), list(runs)
    for _ in range(_DEEPEST):
        for account_id, parent, child in asked_rows(clickhouse, _CHILDREN, _STRUCTURE, generation):
            children[account_id, parent].add((account_id, child))
        generation = sorted({child for run in generation for child in children.get(run, ())} - known)
        if not generation:
            break
        known |= set(generation)
    return {run: _below(run, children) for run in runs}


def _below(run: Run, children: Mapping[Run, set[Run]]) -> set[Run]:
    found, waiting = {run}, [run]
    while waiting:
        new = children.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found
