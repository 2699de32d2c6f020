"""The sides by account and hour: the same sums asked of the stored rows, the priced events and each rollup.

`rows` and `charged` come from the same table by two ways that share nothing: `rows` collapses the copies of an event by
grouping and adds counters up, `charged` collapses them by FINAL and prices them. A fault of one way shows as a gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from taximeter_consumers.conservation.measures import (
    COST,
    COUNTERS,
    LINES,
    MEASURES,
    QUOTA_MEASURES,
    UNITS,
    Values,
    number,
)
from taximeter_consumers.conservation.scope import ACCOUNTS, MoneyScope
from taximeter_consumers.pricing.charged import charged_events
from taximeter_consumers.rollups.statements import SETTINGS as OF_TICKS

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.cards import Book

Hour = tuple[str, datetime]
"""(account, when the hour begins, UTC)."""

# As the ticks read and price events; an audit sorts as well, and what does not fit spills to disk.
SETTINGS: Final = f"{OF_TICKS}, max_bytes_before_external_sort = 536870912"
_PREFIXES: Final = {"models": "model_", "customers": "customer_"}
_OF_MODELS: Final = _PREFIXES["models"]


@dataclass(frozen=True)
class Side:
    """One way to the sums. `columns` are (name, SQL aggregate); `source` is what they are taken from, by `hour`."""

    name: str
    source: str
    hour: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Pair:
    """Two sides that must agree, in `measures`. `of`: the part of the left side that counts: what used a model alone,
    or what customers used."""

    left: str
    right: str
    measures: tuple[str, ...]
    of: Literal["", "models", "customers"] = ""

    @property
    def name(self) -> str:
        """As gaps are headed."""
        return f"{self.left}{f' of {self.of}' if self.of else ''} = {self.right}"


PAIRS: Final = (
    Pair("rows", "charged", COUNTERS),
    Pair("charged", "usage_by_subject", MEASURES),
    Pair("charged", "model_costs", MEASURES, of="models"),
    Pair("charged", "charges", (COST, LINES, "unmeasured_calls")),
    Pair("charged", "quota_usage", QUOTA_MEASURES, of="customers"),
)

_SUMS: Final = tuple((name, f"sum({name})") for name in MEASURES)
_CHARGED: Final = (
    ("events", "count()"),
    *((name, f"sum({name})") for name in COUNTERS[1:]),
    (COST, "sum(cost)"),
    ("unpriced_calls", "countIf(model_source = 'unpriced')"),
    ("unmeasured_calls", "countIf(model_source = 'unmeasured')"),
    (LINES, "sum(length(lines))"),
)
_CHARGED_OF_MODELS: Final = (
    (f"{_OF_MODELS}events", "countIf(usage_type != '')"),
    *((f"{_OF_MODELS}{name}", f"sumIf({name}, usage_type != '')") for name in COUNTERS[1:]),
    (f"{_OF_MODELS}{COST}", "sumIf(model_cost + adjusted_model, usage_type != '')"),
    (f"{_OF_MODELS}unpriced_calls", "countIf(model_source = 'unpriced')"),
    (f"{_OF_MODELS}unmeasured_calls", "countIf(model_source = 'unmeasured')"),
)
_UNITS: Final = "sum(arraySum(mapValues(custom_units)))"
_OF_CUSTOMERS: Final = {
    "events": "1",
    **{name: name for name in (*COUNTERS[1:], "http_requests", "plugin_invocations")},
    COST: "cost",
    "unpriced_calls": "model_source = 'unpriced'",
    "unmeasured_calls": "model_source = 'unmeasured'",
    "code_us": "if(node_type = 'code', duration_us, 0)",
    "http_bytes": "http_bytes_out + http_bytes_in",
    UNITS: "arraySum(mapValues(custom_units))",
    "unpriced_plugins": "plugin_source = 'unpriced'",
}
_CHARGED_OF_CUSTOMERS: Final = tuple(
    (f"{_PREFIXES['customers']}{name}", f"sumIf({expression}, context != 'system')")
    for name, expression in _OF_CUSTOMERS.items()
)
# The first arrival is the copy that counts, and it has the greatest version.
_ROWS: Final = f"""
(
    SELECT
        account_id, copies, counted.1 AS occurred_at, counted.2 AS executions, counted.3 AS input_tokens,
        counted.4 AS output_tokens, counted.5 AS total_tokens
    FROM
    (
        SELECT
            account_id, id_time, event_id, count() AS copies,
            argMax((occurred_at, executions, input_tokens, output_tokens, total_tokens), version) AS counted
        FROM stored_events
        WHERE {ACCOUNTS}
        GROUP BY account_id, id_time, event_id
        SETTINGS optimize_aggregation_in_order = 1
    )
)
"""  # noqa: S608 - our own text


def sides(book: Book, scope: MoneyScope) -> tuple[Side, ...]:
    """All sides by hour."""
    charged = charged_events(f"{ACCOUNTS} AND {scope.times('occurred_at')}", book)
    minute, quarter = "toStartOfHour(minute)", "toStartOfHour(quarter)"
    unmeasured = ("unmeasured_calls", "sumIf(events, source = 'unmeasured')")
    rows = (("rows", "sum(copies)"), ("events", "count()"), *((name, f"sum({name})") for name in COUNTERS[1:]))
    quotas = tuple((name, _UNITS if name == UNITS else f"sum({name})") for name in QUOTA_MEASURES)
    return (
        Side("rows", _ROWS, "toStartOfHour(occurred_at)", rows),
        Side(
            "charged",
            f"({charged})",
            "toStartOfHour(occurred_at)",
            (*_CHARGED, *_CHARGED_OF_MODELS, *_CHARGED_OF_CUSTOMERS),
        ),
        Side("usage_by_subject", "usage_by_subject", minute, _SUMS),
        Side("model_costs", "model_costs", "hour", _SUMS),
        Side("quota_usage", "quota_usage", minute, quotas),
        Side("charges", "charges", quarter, ((COST, "sum(cost_usd)"), (LINES, "sum(events)"), unmeasured)),
    )


def sums_of(clickhouse: ClickHouse, side: Side, scope: MoneyScope, accounts: Sequence[str]) -> dict[Hour, Values]:
    """The sums of one side for some accounts, by place. Raises Retryable."""
    return dict(_read(clickhouse, side, scope, accounts))


def part_of(values: Values, part: str) -> Values:
    """The part of the priced events that a pair counts; all of them where it names none."""
    if not part:
        return values
    prefix = _PREFIXES[part]
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _read(
    clickhouse: ClickHouse, side: Side, scope: MoneyScope, accounts: Sequence[str]
) -> Iterator[tuple[Hour, Values]]:
    names = [name for name, _ in side.columns]
    for account, at, *numbers in clickhouse.rows(_sql(side, scope), scope.parameters(accounts)):
        values = {name: number(name, text) for name, text in zip(names, numbers, strict=True)}
        yield (account, datetime.fromtimestamp(at, UTC)), values


def _sql(side: Side, scope: MoneyScope) -> str:
    # As text, so that no driver rounds a wide decimal. Names that no column has, so that none is taken for one.
    sums = ", ".join(f"toString({expression}) AS sum_{name}" for name, expression in side.columns)
    return f"""
    SELECT account_id, toUnixTimestamp({side.hour}) AS at, {sums}
    FROM {side.source} AS side
    WHERE {ACCOUNTS} AND {scope.times(side.hour)}
    GROUP BY account_id, at
    SETTINGS {SETTINGS}
    """  # noqa: S608 - our own text
