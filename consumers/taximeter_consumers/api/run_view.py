"""The rows of a run as the tree that goes over the wire. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.api.models.measures import Cost, FullUsage, Outcomes, Spent
from taximeter_consumers.api.models.runs import QUALITIES, Attempt, Node, Run, RunTree, Together
from taximeter_consumers.billing.amounts import total

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from taximeter_consumers.api.reads.run_tree import Found

Row = dict[str, Any]

_WORST: Final = ("timeout", "error", "cancelled", "unknown", "success")
_SUMMED: Final = ("ai_calls", "unpriced_calls", "unmeasured_calls", "unpriced_plugins")


def tree_view(found: Found) -> RunTree:
    """The whole answer; the first of the found runs is the root."""
    rows = {row["run_id"]: row for row in found.runs}
    below: dict[str, list[str]] = defaultdict(list)
    root = found.runs[0]["run_id"]
    for row in found.runs[1:]:
        below[row["parent_run_id"]].append(row["run_id"])
    built: dict[str, Run] = {}
    for run_id in _leaves_first(root, below):
        runs = [built[child] for child in below[run_id]]
        built[run_id] = _run(rows[run_id], _nodes(found, run_id), runs)
    return RunTree(run=built[root], is_complete=found.is_complete)


def _leaves_first(root: str, below: Mapping[str, list[str]]) -> list[str]:
    order = [root]
    for run_id in order:
        order.extend(below.get(run_id, ()))
    return order[::-1]


def _nodes(found: Found, run_id: str) -> list[Node]:
    return [_node(row, found.attempts.get((run_id, row["node_id"]), [])) for row in found.nodes.get(run_id, [])]


def _node(row: Row, attempts: list[Row]) -> Node:
    last = max(attempts, key=lambda one: one["attempt"], default=None)
    tried = [_attempt(one) for one in sorted(attempts, key=lambda one: one["attempt"])]
    return Node(
        node_id=row["node_id"],
        node_type=row["node_type"],
        outcome=last["outcome"] if last else "",
        quality=weakest(one.quality for one in tried),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        attempt_count=row["attempts"],
        events=row["events"],
        outcomes=Outcomes.model_validate(row),
        usage=FullUsage.model_validate(row),
        cost=Cost.model_validate(row),
        spent=Spent.model_validate(row),
        attempts=tried,
    )


def _attempt(row: Row) -> Attempt:
    parts = {"usage": FullUsage.model_validate(row), "cost": Cost.model_validate(row)}
    return Attempt.model_validate({**row, **parts, "quality": weakest(row["qualities"])})


def _run(row: Row, nodes: list[Node], runs: list[Run]) -> Run:
    return Run(
        **{
            name: row[name]
            for name in ("account_id", "run_id", "parent_run_id", "workflow_id", "user_id", "project_id", "context")
        },
        outcome=worst(node.outcome for node in nodes),
        quality=weakest(node.quality for node in nodes),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        events=row["events"],
        outcomes=Outcomes.model_validate(row),
        usage=FullUsage.model_validate(row),
        cost=Cost.model_validate(row),
        spent=Spent.model_validate(row),
        together=_together(row, runs),
        nodes=nodes,
        runs=runs,
    )


def _together(row: Row, runs: list[Run]) -> Together:
    below = [run.together for run in runs]
    return Together(
        runs=1 + sum(one.runs for one in below),
        cost_usd=total([row["cost_usd"], *(one.cost_usd for one in below)]),
        wasted_cost_usd=total([row["wasted_cost_usd"], *(one.wasted_cost_usd for one in below)]),
        total_tokens=row["total_tokens"] + sum(one.total_tokens for one in below),
        **{name: row[name] + sum(getattr(one, name) for one in below) for name in _SUMMED},
    )


def weakest(qualities: Iterable[str]) -> str:
    """The quality that can be trusted least; empty of none. A word that nobody knows counts as unknown."""
    found = {quality if quality in QUALITIES else "unknown" for quality in qualities if quality}
    return next((quality for quality in QUALITIES if quality in found), "")


def worst(outcomes: Iterable[str]) -> str:
    """The outcome that matters most: timeout, error, cancelled, unknown, success; empty of none."""
    found = {outcome if outcome in _WORST else "unknown" for outcome in outcomes if outcome}
    return next((outcome for outcome in _WORST if outcome in found), "")
