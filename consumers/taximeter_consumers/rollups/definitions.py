"""The rollups as data: what a row stands for, what is copied onto it, and what is measured.

Expressions are over the columns of `charged_events.sql`, and what `Rollup.over` adds to them.
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
    the touched windows (`window` is then the key that is one). `only` narrows the events that count at all. `over` says
    what is grouped: events; events that know the last attempt of their node (`last_attempt`; only where the scope is
    runs, which brings all attempts); or the lines of their charges (`line`, a tuple). A key that says more than the
    events do, as a price, may lose all its events when prices change: such a rollup is `volatile`, and every tick
    empties what has vanished.
    """

    name: str
    key: tuple[Column, ...]
    attributes: tuple[Column, ...]
    scope: Literal["runs", "windows"]
    window: Column | None = None
    only: str = "true"
    measures: tuple[Column, ...] = ()
    over: Literal["events", "attempts", "lines"] = "events"
    volatile: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns but the version."""
        return (*self.key, *self.attributes, *self.measures)

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
HOUR: Final = ("hour", "toStartOfHour(occurred_at)")
QUARTER: Final = ("quarter", "toStartOfFifteenMinutes(occurred_at)")
MINUTE: Final = ("minute", "toStartOfMinute(occurred_at)")


def _usd(amount: str, when: str = "") -> str:
    total = f"sumIf({amount}, {when})" if when else f"sum({amount})"
    return f"CAST({total}, 'Decimal(38, 18)')"


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
    ("ai_units", "sumMap(ai_units)"),
    ("max_rss_bytes", "max(max_rss_bytes)"),
    ("cost_usd", _usd("cost")),
    ("model_cost_usd", _usd("model_cost")),
    ("plugin_cost_usd", _usd("plugin_cost")),
    ("resource_cost_usd", _usd("resource_cost")),
    ("adjusted_cost_usd", _usd("adjusted_cost")),
    ("reported_cost_usd", _usd("model_cost", "model_source = 'reported'")),
    ("estimated_cost_usd", _usd("model_cost", "quality IN ('estimated', 'partial')")),
    ("ai_calls", "countIf(usage_type != '')"),
    ("reported_calls", "countIf(model_source = 'reported')"),
    ("priced_calls", "countIf(model_source = 'priced')"),
    ("unpriced_calls", "countIf(model_source = 'unpriced')"),
    ("unmeasured_calls", "countIf(model_source = 'unmeasured')"),
    ("estimated_calls", "countIf(model_source IN ('reported', 'priced') AND quality IN ('estimated', 'partial'))"),
    ("plugin_uses", "countIf(plugin_source != 'none')"),
    ("unpriced_plugins", "countIf(plugin_source = 'unpriced')"),
)

# A model's row has the cost of its calls alone; what a plugin or the executor used beside a call is not the model's.
_OF_MODELS: Final = {
    "cost_usd": _usd("model_cost + adjusted_model"),
    "plugin_cost_usd": "toDecimal128(0, 18)",
    "resource_cost_usd": "toDecimal128(0, 18)",
    "adjusted_cost_usd": _usd("adjusted_model"),
    "plugin_uses": "0",
    "unpriced_plugins": "0",
}

# Where money went: each dollar of a node is in one of these. An attempt that another one followed was retried, whatever
# its outcome; an outcome that nobody knows counts as useful.
SPENT: Final[tuple[Column, ...]] = (
    (
        "useful_cost_usd",
        _usd("cost", "outcome NOT IN ('cancelled', 'error', 'timeout') AND attempt >= last_attempt"),
    ),
    ("retried_cost_usd", _usd("cost", "outcome != 'cancelled' AND attempt < last_attempt")),
    ("failed_cost_usd", _usd("cost", "outcome IN ('error', 'timeout') AND attempt >= last_attempt")),
    ("cancelled_cost_usd", _usd("cost", "outcome = 'cancelled'")),
)

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
    measures=(*MEASURES, *SPENT),
    over="attempts",
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
    measures=(*MEASURES, *SPENT),
    over="attempts",
)
MODEL_COSTS: Final = Rollup(
    name="model_costs",
    key=(_ACCOUNT, HOUR, ("provider", "provider"), ("model", "model"), ("usage_type", "usage_type")),
    attributes=(),
    scope="windows",
    window=HOUR,
    only="usage_type != ''",
    measures=tuple((name, _OF_MODELS.get(name, expression)) for name, expression in MEASURES),
)
USAGE_BY_SUBJECT: Final = Rollup(
    name="usage_by_subject",
    key=(
        _ACCOUNT,
        MINUTE,
        *((name, name) for name in ("user_id", "project_id", "workflow_id", "context", "quality")),
    ),
    attributes=(),
    scope="windows",
    window=MINUTE,
    measures=MEASURES,
)
CHARGES: Final = Rollup(
    name="charges",
    key=(
        _ACCOUNT,
        QUARTER,
        ("context", "context"),
        ("workflow_id", "workflow_id"),
        ("provider", "line.1"),
        ("model", "line.2"),
        ("unit", "line.3"),
        ("service_tier", "service_tier"),
        ("source", "line.4"),
        ("usd_per_unit", "line.6"),
    ),
    attributes=(),
    scope="windows",
    window=QUARTER,
    measures=(
        ("events", "count()"),
        ("quantity", "CAST(sum(line.5), 'Decimal(38, 9)')"),
        ("cost_usd", _usd("line.7")),
    ),
    over="lines",
    volatile=True,
)

_EXPRESSIONS: Final = dict(MEASURES)
# What limits can count, and what sums of it lack. Few, because each costs every tick.
QUOTA_MEASURES: Final[tuple[Column, ...]] = (
    *(
        (name, _EXPRESSIONS[name])
        for name in ("events", "executions", "input_tokens", "output_tokens", "total_tokens", "http_requests")
    ),
    ("code_us", "sumIf(duration_us, node_type = 'code')"),
    ("http_bytes", "sum(http_bytes_out + http_bytes_in)"),
    *(
        (name, _EXPRESSIONS[name])
        for name in (
            "plugin_invocations",
            "custom_units",
            "cost_usd",
            "unpriced_calls",
            "unmeasured_calls",
            "unpriced_plugins",
        )
    ),
)
QUOTA_USAGE: Final = Rollup(
    name="quota_usage",
    key=(
        _ACCOUNT,
        MINUTE,
        ("project_id", "project_id"),
        ("user_id", "user_id"),
        ("key_id", "tags['key_id']"),
    ),
    attributes=(),
    scope="windows",
    window=MINUTE,
    only="context != 'system'",
    measures=QUOTA_MEASURES,
)
TRANSACTION_USAGE: Final = Rollup(
    name="transaction_usage",
    key=(_ACCOUNT, ("transaction_id", "transaction_id"), MINUTE),
    attributes=(),
    scope="windows",
    window=MINUTE,
    only="transaction_id != '' AND context != 'system'",
    measures=QUOTA_MEASURES,
)

# In any order: a tick finds where a run's events lie from what earlier ticks stored and from its own rows.
IN_ANY_ORDER: Final = (RUN_COSTS, NODE_COSTS, MODEL_COSTS, USAGE_BY_SUBJECT, CHARGES, QUOTA_USAGE)
# A quota takes off a hold what its events show, and counts it as used instead. Were a transaction shown before its use
# is in the sums, it would be neither held nor used for a moment, and more could be granted than there is. So a tick
# reads the events of transactions before it reads any others, and shows what it read when all the others are written.
# Whoever asks reads what transactions show before the sums.
AFTER_ALL_OTHERS: Final = TRANSACTION_USAGE
ROLLUPS: Final = (*IN_ANY_ORDER, AFTER_ALL_OTHERS)
