"""The rollups against an independent computation from the journal, in Python and in Decimal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from chaos.charging import Charge, total
from chaos.checks.rows import keyed_differences
from chaos.evidence import Evidence
from chaos.price_changes import charge_of
from chaos.truth import SUMMED, expected_rows

Row = Mapping[str, Any]
_HOUR, _QUARTER, _MINUTE = 3_600_000_000, 900_000_000, 60_000_000
_OUTCOMES: Final = {"success": "successes", "error": "errors", "timeout": "timeouts", "cancelled": "cancellations"}
_CALLS: Final = ("reported_calls", "priced_calls", "unpriced_calls", "unmeasured_calls")
_GUESSED: Final = frozenset({"estimated", "partial"})
_SPENT: Final = ("useful_cost_usd", "retried_cost_usd", "failed_cost_usd", "cancelled_cost_usd")
_LIMITED: Final = (
    *("events", "executions", "input_tokens", "output_tokens", "total_tokens", "http_requests", "plugin_invocations"),
    *("custom_units", "cost_usd", "unpriced_calls", "unmeasured_calls", "unpriced_plugins"),
)
_OF_LINES: Final = ("context", "workflow_id", "provider", "model", "unit", "service_tier", "source", "usd_per_unit")


@dataclass(frozen=True)
class _Shape:
    """A rollup: its key columns, what gives them, which rows count, and what a row shows of them."""

    columns: tuple[str, ...]
    key: Callable[[Row], tuple[Any, ...]]
    shows: Callable[[Sequence[Row]], dict[str, Any]]
    counts: Callable[[Row], bool] = lambda _: True
    # What is grouped, made of the priced rows.
    over: Callable[[Iterable[Row]], Iterable[Row]] = lambda rows: rows


def _earliest(rows: Sequence[Row], *names: str) -> dict[str, Any]:
    """What the earliest row by id shows; where several are of one millisecond, any of them is right."""
    first = min(row["id_time"] for row in rows)
    return {name: frozenset(row[name] for row in rows if row["id_time"] == first) for name in names}


def _span(rows: Sequence[Row]) -> dict[str, Any]:
    started = min(max(row["occurred_at"] - max(row["duration_us"], 0), 0) for row in rows)
    return {"started_at": started, "ended_at": max(row["occurred_at"] for row in rows)}


def _of_run(rows: Sequence[Row]) -> dict[str, Any]:
    ids = [row["id_time"] for row in rows]
    copied = _earliest(rows, "user_id", "project_id", "workflow_id", "parent_run_id", "context")
    placed = {**_span(rows), "first_id_time": min(ids), "last_id_time": max(ids)}
    return {**copied, **placed, **measures(rows), **_spent(rows)}


def _of_node(rows: Sequence[Row]) -> dict[str, Any]:
    copied = _earliest(rows, "node_type", "workflow_id", "user_id")
    attempts = max(row["attempt"] for row in rows)
    return {**copied, **_span(rows), "attempts": attempts, **measures(rows), **_spent(rows)}


def _of_model(rows: Sequence[Row]) -> dict[str, Any]:
    """A call's row says nothing of a plugin that was used beside it."""
    return {**measures(rows), "plugin_uses": 0, "unpriced_plugins": 0}


def _of_quota(rows: Sequence[Row]) -> dict[str, Any]:
    """What limits can count."""
    found = measures(rows)
    return {
        **{name: found[name] for name in _LIMITED},
        "code_us": sum(row["duration_us"] for row in rows if row["node_type"] == "code"),
        "http_bytes": found["http_bytes_out"] + found["http_bytes_in"],
    }


def _of_charges(lines: Sequence[Row]) -> dict[str, Any]:
    return {
        "events": len(lines),
        "quantity": total(line["quantity"] for line in lines),
        "cost_usd": total(line["amount"] for line in lines),
    }


def lines_of(rows: Iterable[Row]) -> Iterable[Row]:
    """The lines of the charges of priced rows, each with what says where it belongs."""
    for row in rows:
        placed = {name: row[name] for name in ("account_id", "occurred_at", "context", "workflow_id", "service_tier")}
        for line in row["charge"].lines:
            yield {**placed, **vars(line)}


_SHAPES: Final[Mapping[str, _Shape]] = {
    "run_costs": _Shape(("account_id", "run_id"), lambda row: (row["account_id"], row["run_id"]), _of_run),
    "node_costs": _Shape(
        ("account_id", "run_id", "node_id"),
        lambda row: (row["account_id"], row["run_id"], row["node_id"]),
        _of_node,
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
        _of_model,
        counts=lambda row: row["usage_type"] != "",
    ),
    "usage_by_subject": _Shape(
        ("account_id", "minute", "user_id", "project_id", "workflow_id", "context", "quality"),
        lambda row: (
            row["account_id"],
            row["occurred_at"] // _MINUTE * _MINUTE,
            row["user_id"],
            row["project_id"],
            row["workflow_id"],
            row["context"],
            row["quality"],
        ),
        lambda rows: measures(rows),
    ),
    "quota_usage": _Shape(
        ("account_id", "minute", "project_id", "user_id", "key_id"),
        lambda row: (
            row["account_id"],
            row["occurred_at"] // _MINUTE * _MINUTE,
            row["project_id"],
            row["user_id"],
            row["tags"].get("key_id", ""),
        ),
        lambda rows: _of_quota(rows),
        counts=lambda row: row["context"] != "system",
    ),
    "transaction_usage": _Shape(
        ("account_id", "transaction_id", "minute"),
        lambda row: (row["account_id"], row["transaction_id"], row["occurred_at"] // _MINUTE * _MINUTE),
        lambda rows: _of_quota(rows),
        counts=lambda row: row["context"] != "system" and row["transaction_id"] != "",
    ),
    "charges": _Shape(
        ("account_id", "quarter", *_OF_LINES),
        lambda line: (
            line["account_id"],
            line["occurred_at"] // _QUARTER * _QUARTER,
            *(line[name] for name in _OF_LINES),
        ),
        _of_charges,
        over=lines_of,
    ),
}


def columns_of(name: str) -> tuple[str, ...]:
    """The key columns of a rollup."""
    return _SHAPES[name].columns


def rollup_check(name: str) -> Callable[[Evidence], list[str]]:
    """The check of one rollup: every row, every measure, nothing more."""

    def check(evidence: Evidence) -> list[str]:
        shown = evidence.rollups[name]
        found = {tuple(row[column] for column in columns_of(name)): row for row in shown}
        problems = [f"{name} shows a key twice"] if len(found) != len(shown) else []
        return problems + keyed_differences(expected_rollup(name, evidence), found)

    return check


def expected_rollup(name: str, evidence: Evidence) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rollup of that name, from the journal."""
    shape = _SHAPES[name]
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in shape.over(priced_rows(evidence)):
        if shape.counts(row):
            groups[shape.key(row)].append(row)
    return {key: shape.shows(rows) for key, rows in groups.items()}


def priced_rows(evidence: Evidence) -> list[Row]:
    """The expected rows, each with its `charge`, and the `last_attempt` of its node."""
    arrived = {
        (str(entry.event["account_id"]), str(entry.event["event_id"])): evidence.arrived(entry)
        for entry in evidence.entries
        if entry.counts and entry.event is not None
    }
    expected = expected_rows(evidence.entries)
    last: dict[tuple[str, ...], int] = {}
    for row in expected.values():
        last[_node(row)] = max(last.get(_node(row), row["attempt"]), row["attempt"])
    return [
        {
            **row,
            "charge": charge_of(row, arrived[identity], evidence.price_changes),
            "last_attempt": last[_node(row)],
        }
        for identity, row in expected.items()
    ]


def measures(rows: Sequence[Row]) -> dict[str, Any]:
    """What all rollups of use show of some events."""
    units: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        for unit, amount in row["custom_units"].items():
            units[unit] += amount
    charges: list[tuple[Row, Charge]] = [(row, row["charge"]) for row in rows]
    plugins = sum(any(amount for amount in row["custom_units"].values()) for row in rows)
    return {
        "events": len(rows),
        **{name: sum(row[name] for row in rows) for name in SUMMED},
        **{
            column: sum(row["executions"] for row in rows if row["outcome"] == outcome)
            for outcome, column in _OUTCOMES.items()
        },
        "custom_units": dict(units),
        "ai_units": {},
        "max_rss_bytes": max(row["max_rss_bytes"] for row in rows),
        "cost_usd": total(charge.cost for _, charge in charges),
        "model_cost_usd": total(charge.model_cost for _, charge in charges),
        "plugin_cost_usd": Decimal(0),
        "resource_cost_usd": Decimal(0),
        "adjusted_cost_usd": total(charge.adjusted for _, charge in charges),
        "reported_cost_usd": total(charge.model_cost for _, charge in charges if charge.how == "reported"),
        "estimated_cost_usd": total(charge.model_cost for row, charge in charges if row["quality"] in _GUESSED),
        "ai_calls": sum(charge.how != "" for _, charge in charges),
        **{name: sum(f"{charge.how}_calls" == name for _, charge in charges) for name in _CALLS},
        "estimated_calls": sum(
            charge.how in {"reported", "priced"} and row["quality"] in _GUESSED for row, charge in charges
        ),
        "plugin_uses": plugins,
        "unpriced_plugins": plugins,
    }


def _spent(rows: Sequence[Row]) -> dict[str, Any]:
    """Where the money of a run or node went: each dollar is in one of four."""
    costs = [(_came_to(row), row["charge"].cost) for row in rows]
    spent = {name: total(cost for where, cost in costs if where == name) for name in _SPENT}
    return {**spent, "wasted_cost_usd": total(spent[name] for name in _SPENT[1:])}


def _came_to(row: Row) -> str:
    if row["outcome"] == "cancelled":
        return "cancelled_cost_usd"
    if row["attempt"] < row["last_attempt"]:
        return "retried_cost_usd"
    return "failed_cost_usd" if row["outcome"] in {"error", "timeout"} else "useful_cost_usd"


def _node(row: Row) -> tuple[str, ...]:
    return row["account_id"], row["run_id"], row["node_id"]
