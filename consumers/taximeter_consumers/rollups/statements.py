"""The statements of a recompute as text. Pure.

A rollup is recomputed by one INSERT ... SELECT, either straight from the events of its scope, priced by the same
statement, or from `stored_tick_events`, where a small tick has put the events of all scopes with their prices. Pricing
is most of what a statement costs before it reads a row, so a small tick plans it once instead of once for each rollup.
The expressions are the same and so are the results, to the last digit.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Final

from taximeter_consumers.pricing.charged import SETTINGS as SETTINGS_OF_CHARGED
from taximeter_consumers.pricing.charged import charged_events
from taximeter_consumers.rollups.definitions import HOUR, MINUTE, QUARTER, SUMMED

if TYPE_CHECKING:
    from taximeter_consumers.pricing.cards import Book
    from taximeter_consumers.rollups.definitions import Column, Rollup

# FINAL must see all copies of an event before a filter or an index drops one. Copies share the sorting key and with it
# the partition, so the primary key may narrow what is read and the other indexes may not.
_EXACT_FINAL: Final = {
    "use_skip_indexes_if_final": 0,
    "optimize_move_to_prewhere_if_final": 0,
    "do_not_merge_across_partitions_select_final": 1,
}
# What is grouped, made of the charged events.
_OVER: Final = {
    "events": "{}",
    "attempts": """
SELECT *, greatest(attempt, last_of_node) AS last_attempt
FROM ({}) AS charged
LEFT ANY JOIN
(
    SELECT account_id AS account_of_node, run_id AS run_of_node, node_id AS node, max(attempt) AS last_of_node
    FROM {of_nodes}
    GROUP BY account_id, run_id, node_id
    HAVING min(attempt) < last_of_node
) AS retried
ON retried.account_of_node = charged.account_id AND retried.run_of_node = charged.run_id
    AND retried.node = charged.node_id
""",
    "lines": "SELECT *, line FROM ({}) ARRAY JOIN lines AS line",
}
SETTINGS: Final = ", ".join(
    f"{name} = {value}"
    for name, value in {
        **_EXACT_FINAL,
        **SETTINGS_OF_CHARGED,
        "max_bytes_before_external_group_by": 512 * 1024 * 1024,
        # Payload times may be nonsense, and then their windows lie in many months.
        "max_partitions_per_insert_block": 0,
    }.items()
)
# What rollups read of an event. Where an expression needs another column, it goes here and into a migration.
_PRICED_COLUMNS: Final = (
    *("account_id", "user_id", "project_id", "workflow_id", "run_id", "parent_run_id", "transaction_id", "context"),
    *("tags", "event_id", "id_time", "occurred_at", "node_id", "node_type", "attempt", "outcome", *SUMMED),
    *("provider", "model", "usage_type", "quality", "service_tier", "ai_units", "custom_units", "max_rss_bytes"),
    *("model_source", "plugin_source", "model_cost", "plugin_cost", "resource_cost", "adjusted_model"),
    *("adjusted_cost", "cost", "lines"),
)
# Quarters and minutes lie within hours.
_WIDEST: Final = HOUR
_FLAGS: Final = {HOUR: "of_hours", QUARTER: "of_quarters", MINUTE: "of_minutes", None: "of_runs"}


def recompute_sql(rollup: Rollup, scope: str, book: Book, table: str = "", guard: str = "true") -> str:
    """The statement that recomputes the rows of `rollup` from the events of `scope`, priced by `book`, and writes them
    into its own table or into `table`. `guard`: a condition that fails where the events may be gone."""
    return _recompute_sql(rollup, charged_events(scope, book), f"stored_events FINAL WHERE {scope}", table, guard)


def recompute_priced_sql(rollup: Rollup) -> str:
    """The same from the priced rows `{tick_id:UInt64}`."""
    rows = f"stored_tick_events WHERE tick_id = {{tick_id:UInt64}} AND {_FLAGS[rollup.window]}"
    return _recompute_sql(rollup, f"SELECT * FROM {rows}", rows, "")  # noqa: S608 - our own text


def price_sql(touched: str, book: Book, most_rows: int, guard: str = "true") -> str:
    """The statement that prices the events of all that `touched` touches as the priced rows `{tick_id:UInt64}`; not all
    of them where they are more than `most_rows`."""
    scopes = (scope_of(window, touched) for window in (None, _WIDEST))
    flags = {flag: _is_touched(window, touched) for window, flag in _FLAGS.items()}
    return _sql(
        "price.sql",
        columns=", ".join((*flags, *_PRICED_COLUMNS)),
        expressions=",\n    ".join((*flags.values(), *_PRICED_COLUMNS)),
        events=charged_events(" OR ".join(f"({scope})" for scope in scopes), book),
        most_rows=str(most_rows),
        guard=guard,
        settings=SETTINGS,
    )


def _recompute_sql(rollup: Rollup, charged: str, of_nodes: str, table: str, guard: str = "true") -> str:
    return _sql(
        "recompute.sql",
        table=table or rollup.table,
        columns=", ".join(name for name, _ in rollup.columns),
        expressions=",\n    ".join(expression for _, expression in rollup.columns),
        events=_OVER[rollup.over].format(charged, of_nodes=of_nodes),
        only=rollup.only,
        guard=guard,
        key=", ".join(expression for _, expression in rollup.key),
        settings=SETTINGS,
    )


def vanished_sql(rollup: Rollup, scope: str) -> str:
    """The statement that empties the rows of `scope` that have a version below the tick's."""
    columns = ", ".join(name for name, _ in rollup.key)
    together = f"PARTITION BY account_id, {rollup.window[0] if rollup.window else 'run_id'}"
    return _sql(
        "vanished.sql", table=rollup.table, key_columns=columns, scope=scope, together=together, settings=SETTINGS
    )


def scope_of(window: Column | None, touched: str) -> str:
    """The condition for all events of the touched windows; of the touched runs where there is none."""
    if window is None:
        return _sql("scope_runs.sql", touched=touched)
    return _sql("scope_windows.sql", touched=touched, window=window[1])


def scope_of_rows(rollup: Rollup, touched: str) -> str:
    """The condition for the rows of a rollup that are touched."""
    key, expression = ("run_id", "run_id") if rollup.window is None else rollup.window
    return _sql("vanished_scope.sql", key=key, expression=expression, touched=touched)


def touched_sql(condition: str, *, has_copies: bool) -> str:
    """The query for what some rows touch."""
    return _sql("copies.sql" if has_copies else "rows.sql", rows=condition)


def other_copies_sql(condition: str) -> str:
    """The query for how many copies of some rows lie elsewhere."""
    return _sql("other_copies.sql", rows=condition)


def _is_touched(window: Column | None, touched: str) -> str:
    expression = "run_id" if window is None else window[1]
    return f"(account_id, {expression}) IN (SELECT account_id, {expression} FROM ({touched}))"  # noqa: S608 - our own text


def _sql(name: str, **parts: str) -> str:
    return _template(name).substitute(parts)


@cache
def _template(name: str) -> Template:
    return Template((resources.files("taximeter_consumers.rollups") / name).read_text(encoding="utf-8"))
