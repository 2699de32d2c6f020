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
from taximeter_consumers.pricing.charged import charged_events
from taximeter_consumers.rollups.batches import ROWS_OF_BATCHES, Batches, pending_from
from taximeter_consumers.rollups.definitions import MEASURES, Rollup

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

# FINAL must see all copies of an event before a filter or an index drops one. Copies share the sorting key and with it
# the partition, so the primary key may narrow what is read and the other indexes may not.
_EXACT_FINAL: Final = {
    "use_skip_indexes_if_final": 0,
    "optimize_move_to_prewhere_if_final": 0,
    "do_not_merge_across_partitions_select_final": 1,
}
# Past every recorded tick, so that a clock that was set back does no harm.
_VERSION: Final = """
SELECT greatest(toUInt64(toUnixTimestamp64Micro(now64(6))), (SELECT max(tick) FROM stored_rolled_up_batches) + 1)
"""
_SETTINGS: Final = ", ".join(
    f"{name} = {value}"
    for name, value in {
        **_EXACT_FINAL,
        "prefer_column_name_to_alias": 1,
        "decimal_check_overflow": 1,
        "join_use_nulls": 0,
        "max_bytes_before_external_group_by": 512 * 1024 * 1024,
        # Payload times may be nonsense, and then their windows lie in many months.
        "max_partitions_per_insert_block": 0,
    }.items()
)


@dataclass(frozen=True)
class Work:
    """What one tick recomputes: its batches, the version it writes, and whether copies lie in other batches."""

    batches: Batches
    version: int
    pending_from: int
    has_copies: bool

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of every statement of the tick."""
        return {**self.batches.parameters, "version": self.version, "pending_from": self.pending_from}


def begin(clickhouse: ClickHouse, batches: Batches) -> Work:
    """Takes the version by the server's clock, then looks at what else the tick must know of the listed `batches`."""
    version = clickhouse.scalar(_VERSION)
    first = pending_from(clickhouse)
    arrived_from = batches.parameters["arrived_from"]
    copies = clickhouse.scalar(_sql("other_copies.sql", rows=ROWS_OF_BATCHES), batches.parameters)
    return Work(batches, int(version), min(first or arrived_from, arrived_from), copies > 0)


def recompute(clickhouse: ClickHouse, rollup: Rollup, work: Work) -> None:
    """Recomputes all rows of one rollup that the tick's batches touch."""
    touched = _sql("copies.sql", rows=ROWS_OF_BATCHES) if work.has_copies else _sql("rows.sql", rows=ROWS_OF_BATCHES)
    clickhouse.execute(recompute_sql(rollup, _scope(rollup, touched)), work.parameters)
    if work.has_copies:
        scope = _scope_of_rows(rollup, touched)
        clickhouse.execute(vanished_sql(rollup, scope), work.parameters)
    failpoints.reached("aggregate.after_recompute")


def erase_older(clickhouse: ClickHouse, rollup: Rollup, version: int) -> None:
    """Empties every row that is older than `version`: the end of a rebuild, which wrote all the others."""
    clickhouse.execute(vanished_sql(rollup, "true"), {"version": version})


def recompute_sql(rollup: Rollup, scope: str) -> str:
    """The statement that recomputes the rows of `rollup` from the events of `scope`."""
    columns = (*rollup.key, *rollup.attributes, *MEASURES)
    return _sql(
        "recompute.sql",
        table=rollup.table,
        columns=", ".join(name for name, _ in columns),
        expressions=",\n    ".join(expression for _, expression in columns),
        charged_events=charged_events(scope),
        only=rollup.only,
        key=", ".join(expression for _, expression in rollup.key),
        settings=_SETTINGS,
    )


def vanished_sql(rollup: Rollup, scope: str) -> str:
    """The statement that empties the rows of `scope` that have a version below the tick's."""
    columns = ", ".join(name for name, _ in rollup.key)
    return _sql("vanished.sql", table=rollup.table, key_columns=columns, scope=scope, settings=_SETTINGS)


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
