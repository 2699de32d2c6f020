"""The rollups as data: what a row stands for, what is copied onto it, and the measures that all of them share.

Expressions are over the columns of `charged_events.sql`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Column = tuple[str, str]
"""(column of the rollup, SQL expression)."""


@dataclass(frozen=True)
class Rollup:
    """One rollup table.

    `scope` says which part of the events a tick recomputes it from: all events of the touched runs, or all events of
    the touched windows (`window` is then the key that is one). `only` narrows the events that count at all.
    """

    name: str
    key: tuple[Column, ...]
    attributes: tuple[Column, ...]
    scope: Literal["runs", "windows"]
    window: Column | None = None
    only: str = "true"

    @property
    def table(self) -> str:
        """The table behind the view."""
        return f"stored_{self.name}"


def _first(*columns: str) -> tuple[Column, ...]:
    # Copies of an attribute may disagree between events; the earliest event decides, always the same one.
    earliest = f"argMin(({', '.join(columns)}), (id_time, event_id))"
    return tuple((column, f"tupleElement({earliest}, {place})") for place, column in enumerate(columns, start=1))


_STARTED: Final = (
    "started_at",
    "fromUnixTimestamp64Micro(min(greatest(toUnixTimestamp64Micro(occurred_at) - greatest(duration_us, 0), 0)), 'UTC')",
)
_ENDED: Final = ("ended_at", "max(occurred_at)")
_ACCOUNT: Final = ("account_id", "account_id")
_RUN: Final = ("run_id", "run_id")
_HOUR: Final = ("hour", "toStartOfHour(occurred_at)")
_MINUTE: Final = ("minute", "toStartOfMinute(occurred_at)")

RUN_COSTS: Final = Rollup(
    name="run_costs",
    key=(_ACCOUNT, _RUN),
    attributes=(
        *_first("user_id", "project_id", "workflow_id", "parent_run_id", "context"),
        _STARTED,
        _ENDED,
        ("first_id_time", "min(id_time)"),
        ("last_id_time", "max(id_time)"),
    ),
    scope="runs",
)
NODE_COSTS: Final = Rollup(
    name="node_costs",
    key=(_ACCOUNT, _RUN, ("node_id", "node_id")),
    attributes=(
        *_first("node_type", "workflow_id", "user_id"),
        _STARTED,
        _ENDED,
        ("attempts", "max(attempt)"),
    ),
    scope="runs",
)
MODEL_COSTS: Final = Rollup(
    name="model_costs",
    key=(_ACCOUNT, _HOUR, ("provider", "provider"), ("model", "model"), ("usage_type", "usage_type")),
    attributes=(),
    scope="windows",
    window=_HOUR,
    only="usage_type != ''",
)
USAGE_BY_SUBJECT: Final = Rollup(
    name="usage_by_subject",
    key=(_ACCOUNT, _MINUTE, ("user_id", "user_id"), ("project_id", "project_id")),
    attributes=(),
    scope="windows",
    window=_MINUTE,
)

# In any order: a tick finds where a run's events lie from what earlier ticks stored and from its own rows.
ROLLUPS: Final = (RUN_COSTS, NODE_COSTS, MODEL_COSTS, USAGE_BY_SUBJECT)

SUMMED: Final = (
    "executions",
    "memory_breaches",
    "timeout_breaches",
    "duration_us",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "total_tokens",
    "audio_ms",
    "characters",
    "images",
    "http_requests",
    "http_bytes_out",
    "http_bytes_in",
    "http_errors",
    "plugin_invocations",
    "cpu_us",
)
OUTCOMES: Final = (
    ("successes", "success"),
    ("errors", "error"),
    ("timeouts", "timeout"),
    ("cancellations", "cancelled"),
)

MEASURES: Final[tuple[Column, ...]] = (
    ("events", "count()"),
    *((column, f"sum({column})") for column in SUMMED),
    *((column, f"sumIf(executions, outcome = '{outcome}')") for column, outcome in OUTCOMES),
    ("custom_units", "sumMap(custom_units)"),
    ("max_rss_bytes", "max(max_rss_bytes)"),
    ("cost_usd", "CAST(sum(cost), 'Decimal(38, 18)')"),
    ("ai_calls", "countIf(usage_type != '')"),
    ("reported_calls", "countIf(cost_source = 'reported')"),
    ("priced_calls", "countIf(cost_source = 'priced')"),
    ("unpriced_calls", "countIf(cost_source = 'unpriced')"),
    ("unmeasured_calls", "countIf(cost_source = 'unmeasured')"),
    ("estimated_calls", "countIf(cost_source IN ('reported', 'priced') AND quality IN ('estimated', 'partial'))"),
)
