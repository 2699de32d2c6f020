"""The rollups against an independent computation from the journal, in Python and in Decimal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from functools import reduce
from typing import Any, Final

from chaos.checks.rows import keyed_differences
from chaos.evidence import Evidence
from chaos.truth import SUMMED, expected_rows
from taximeter_infra.simulate.catalogue import list_prices
from taximeter_infra.simulate.expected import cost_of_use
from taximeter_schemas.event import AiUsage

Row = Mapping[str, Any]
_EXACT = Context(prec=80, traps=[Inexact])
_HOUR, _MINUTE = 3_600_000_000, 60_000_000
_OUTCOMES: Final = {"success": "successes", "error": "errors", "timeout": "timeouts", "cancelled": "cancellations"}
_CALLS: Final = ("reported_calls", "priced_calls", "unpriced_calls", "unmeasured_calls")


@dataclass(frozen=True)
class _Shape:
    """A rollup: its key columns, what gives them, which rows count, and what else a row shows."""

    columns: tuple[str, ...]
    key: Callable[[Row], tuple[Any, ...]]
    counts: Callable[[Row], bool] = lambda _: True
    attributes: Callable[[Sequence[Row]], dict[str, Any]] = lambda _: {}


def _earliest(rows: Sequence[Row], *names: str) -> dict[str, Any]:
    """What the earliest row by id shows; where several are of one millisecond, any of them is right."""
    first = min(row["id_time"] for row in rows)
    return {name: frozenset(row[name] for row in rows if row["id_time"] == first) for name in names}


def _span(rows: Sequence[Row]) -> dict[str, Any]:
    started = min(max(row["occurred_at"] - max(row["duration_us"], 0), 0) for row in rows)
    return {"started_at": started, "ended_at": max(row["occurred_at"] for row in rows)}


def _run_attributes(rows: Sequence[Row]) -> dict[str, Any]:
    ids = [row["id_time"] for row in rows]
    copied = _earliest(rows, "user_id", "project_id", "workflow_id", "parent_run_id", "context")
    return {**copied, **_span(rows), "first_id_time": min(ids), "last_id_time": max(ids)}


def _node_attributes(rows: Sequence[Row]) -> dict[str, Any]:
    copied = _earliest(rows, "node_type", "workflow_id", "user_id")
    return {**copied, **_span(rows), "attempts": max(row["attempt"] for row in rows)}


_SHAPES: Final[Mapping[str, _Shape]] = {
    "run_costs": _Shape(
        ("account_id", "run_id"), lambda row: (row["account_id"], row["run_id"]), attributes=_run_attributes
    ),
    "node_costs": _Shape(
        ("account_id", "run_id", "node_id"),
        lambda row: (row["account_id"], row["run_id"], row["node_id"]),
        attributes=_node_attributes,
    ),
    "model_costs": _Shape(
        ("account_id", "hour", "provider", "model", "usage_type"),
        lambda row: (
            row["account_id"],
            row["occurred_at"] // _HOUR * _HOUR,
            row["provider"],
            row["model"],
            row["usage_type"],
        ),
        counts=lambda row: row["usage_type"] != "",
    ),
    "usage_by_subject": _Shape(
        ("account_id", "minute", "user_id", "project_id"),
        lambda row: (row["account_id"], row["occurred_at"] // _MINUTE * _MINUTE, row["user_id"], row["project_id"]),
    ),
}


def rollup_check(name: str) -> Callable[[Evidence], list[str]]:
    """The check of one rollup: every row, every measure, nothing more."""

    def check(evidence: Evidence) -> list[str]:
        shape = _SHAPES[name]
        shown = evidence.rollups[name]
        found = {tuple(row[column] for column in shape.columns): row for row in shown}
        problems = [f"{name} shows a key twice"] if len(found) != len(shown) else []
        return problems + keyed_differences(expected_rollup(name, evidence), found)

    return check


def expected_rollup(name: str, evidence: Evidence) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rollup of that name, from the journal."""
    shape = _SHAPES[name]
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in priced_rows(evidence):
        if shape.counts(row):
            groups[shape.key(row)].append(row)
    return {key: {**shape.attributes(rows), **measures(rows)} for key, rows in groups.items()}


def priced_rows(evidence: Evidence) -> list[Row]:
    """The expected rows, each with `how` its call is priced (empty: no model was used) and its `cost`."""
    prices = list_prices()
    ai = {
        (str(entry.event["account_id"]), str(entry.event["event_id"])): entry.event.get("ai")
        for entry in evidence.entries
        if entry.counts and entry.event is not None
    }
    priced: list[Row] = []
    for identity, row in expected_rows(evidence.entries).items():
        use = ai[identity]
        how, cost = ("", Decimal(0)) if use is None else cost_of_use(AiUsage.model_validate(use), prices)
        priced.append({**row, "how": how, "cost": cost})
    return priced


def measures(rows: Sequence[Row]) -> dict[str, Any]:
    """What all rollups show of some events."""
    units: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        for unit, amount in row["custom_units"].items():
            units[unit] += amount
    guessed = [
        row for row in rows if row["how"] in {"reported", "priced"} and row["quality"] in {"estimated", "partial"}
    ]
    return {
        "events": len(rows),
        **{name: sum(row[name] for row in rows) for name in SUMMED},
        **{
            column: sum(row["executions"] for row in rows if row["outcome"] == outcome)
            for outcome, column in _OUTCOMES.items()
        },
        "custom_units": dict(units),
        "max_rss_bytes": max(row["max_rss_bytes"] for row in rows),
        "cost_usd": reduce(_EXACT.add, (row["cost"] for row in rows), Decimal(0)),
        "ai_calls": sum(row["how"] != "" for row in rows),
        **{name: sum(f"{row['how']}_calls" == name for row in rows) for name in _CALLS},
        "estimated_calls": len(guessed),
    }
