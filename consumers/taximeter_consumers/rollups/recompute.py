"""The one way in which every rollup is recomputed: an INSERT ... SELECT over the touched part of the events.

A recompute reads the events as they stand and writes whole rows with the tick's version; run again or run by two
aggregators at once it writes equal rows. The version is taken after the batches are listed and before anything is read,
so of two recomputes of a row the one with the greater version has seen every batch that the other one had in hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers import failpoints
from taximeter_consumers.pricing.charged import SETTINGS as SETTINGS_OF_CHARGED
from taximeter_consumers.pricing.charged import charged_events
from taximeter_consumers.rollups.batches import ROWS_OF_BATCHES, Batches, pending_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.cards import Book
    from taximeter_consumers.rollups.definitions import Rollup

_READ_AHEAD: Final = "stored_transactions_read"
# Unix milliseconds past every arrival.
_NEVER: Final = 2**42
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
    FROM stored_events FINAL
    WHERE {scope}
    GROUP BY account_id, run_id, node_id
    HAVING min(attempt) < last_of_node
) AS retried
ON retried.account_of_node = charged.account_id AND retried.run_of_node = charged.run_id
    AND retried.node = charged.node_id
""",
    "lines": "SELECT *, line FROM ({}) ARRAY JOIN lines AS line",
}
# Past every recorded tick, so that a clock that was set back does no harm.
_VERSION: Final = """
SELECT greatest(
    toUInt64(toUnixTimestamp64Micro(now64(6))),
    (SELECT max(tick) FROM stored_rolled_up_batches) + 1,
    (SELECT max(tick) FROM stored_book_versions) + 1
)
"""
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


@dataclass(frozen=True)
class Rows:
    """Some rows of stored_events: a condition on it, and the parameters of the condition. `arrived_from`: none of them
    arrived before, Unix milliseconds."""

    condition: str
    parameters: Mapping[str, Any]
    arrived_from: int


@dataclass(frozen=True)
class Work:
    """What one tick recomputes: all that some rows touch, priced by `book`; the version it writes, whether copies lie
    elsewhere, and whether any row can touch what transactions show."""

    rows: Rows
    book: Book
    version: int
    pending_from: int
    has_copies: bool
    has_transactions: bool

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of every statement of the tick."""
        return {**self.rows.parameters, "version": self.version, "pending_from": self.pending_from}


def rows_of(batches: Batches) -> Rows:
    """The rows of some batches."""
    return Rows(ROWS_OF_BATCHES, batches.parameters, batches.arrived_from)


def next_version(clickhouse: ClickHouse) -> int:
    """A version greater than any that is recorded, by the server's clock."""
    return int(clickhouse.scalar(_VERSION))


def begin(clickhouse: ClickHouse, rows: Rows, book: Book) -> Work:
    """Takes the version by the server's clock, then looks at what else the tick must know of rows that are new."""
    version = next_version(clickhouse)
    first = pending_from(clickhouse)
    copies = clickhouse.scalar(_sql("other_copies.sql", rows=rows.condition), rows.parameters)
    # A copy elsewhere may have been one of a transaction.
    shown = copies > 0 or _has_transactions(clickhouse, rows)
    return Work(rows, book, version, min(first or rows.arrived_from, rows.arrived_from), copies > 0, shown)


def begin_repriced(clickhouse: ClickHouse, rows: Rows, book: Book) -> Work:
    """The same for rows that are in the rollups already, and may cost something else by now."""
    version = next_version(clickhouse)
    first = pending_from(clickhouse)
    shown = _has_transactions(clickhouse, rows)
    return Work(rows, book, version, _NEVER if first is None else first, has_copies=False, has_transactions=shown)


def recompute(clickhouse: ClickHouse, rollup: Rollup, work: Work) -> None:
    """Recomputes all rows of one rollup that the tick's rows touch."""
    scope = _scope(rollup, _touched(work))
    clickhouse.execute(recompute_sql(rollup, scope, work.book), work.parameters)
    _end(clickhouse, rollup, work)


def read_ahead(clickhouse: ClickHouse, rollup: Rollup, work: Work) -> None:
    """Recomputes the rows of `AFTER_ALL_OTHERS`, and puts them where nobody looks until they are shown."""
    scope = _scope(rollup, _touched(work))
    clickhouse.execute(recompute_sql(rollup, scope, work.book, table=_READ_AHEAD), work.parameters)


def show(clickhouse: ClickHouse, rollup: Rollup, work: Work) -> None:
    """Shows the rows that `read_ahead` has put aside."""
    columns = ", ".join((*(name for name, _ in rollup.columns), "version"))
    sql = (
        f"INSERT INTO {rollup.table} ({columns}) SELECT {columns} FROM {_READ_AHEAD} WHERE version = {{version:UInt64}}"  # noqa: S608 - our own names
    )
    clickhouse.execute(sql, work.parameters)
    clickhouse.execute(f"ALTER TABLE {_READ_AHEAD} DROP PARTITION {work.version}")
    _end(clickhouse, rollup, work)


def _end(clickhouse: ClickHouse, rollup: Rollup, work: Work) -> None:
    """Empties the rows that the tick should have written and did not."""
    if work.has_copies or rollup.volatile:
        clickhouse.execute(vanished_sql(rollup, _scope_of_rows(rollup, _touched(work))), work.parameters)
    failpoints.reached("aggregate.after_recompute")


def _touched(work: Work) -> str:
    return _sql("copies.sql" if work.has_copies else "rows.sql", rows=work.rows.condition)


def _has_transactions(clickhouse: ClickHouse, rows: Rows) -> bool:
    """Whether any of the rows is one of a transaction: most ticks have none where nothing is reserved, and a statement
    costs some 40 ms of planning, however little there is to do."""
    sql = f"SELECT count() FROM stored_events WHERE ({rows.condition}) AND transaction_id != '' LIMIT 1"  # noqa: S608 - our own text
    return bool(clickhouse.scalar(sql, rows.parameters))


def erase_older(clickhouse: ClickHouse, rollup: Rollup, version: int) -> None:
    """Empties every row that is older than `version`: the end of a rebuild, which wrote all the others."""
    clickhouse.execute(vanished_sql(rollup, f"version < {version}"), {"version": version})


def recompute_sql(rollup: Rollup, scope: str, book: Book, table: str = "") -> str:
    """The statement that recomputes the rows of `rollup` from the events of `scope`, priced by `book`, and writes them
    into its own table or into `table`."""
    return _sql(
        "recompute.sql",
        table=table or rollup.table,
        columns=", ".join(name for name, _ in rollup.columns),
        expressions=",\n    ".join(expression for _, expression in rollup.columns),
        events=_OVER[rollup.over].format(charged_events(scope, book), scope=scope),
        only=rollup.only,
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


def _scope(rollup: Rollup, touched: str) -> str:
    if rollup.window is None:
        return _sql("scope_runs.sql", touched=touched)
    return _sql("scope_windows.sql", touched=touched, window=rollup.window[1])


def _scope_of_rows(rollup: Rollup, touched: str) -> str:
    if rollup.window is None:
        return _sql("vanished_scope.sql", key="run_id", expression="run_id", touched=touched)
    name, expression = rollup.window
    return _sql("vanished_scope.sql", key=name, expression=expression, touched=touched)


def _sql(name: str, **parts: str) -> str:
    return _template(name).substitute(parts)


@cache
def _template(name: str) -> Template:
    return Template((resources.files("taximeter_consumers.rollups") / name).read_text(encoding="utf-8"))
