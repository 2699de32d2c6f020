"""The rollups whose key names the user: counted again under the pseudonym, and what no event stands behind moved over.

Both write whole rows with a version of their own, so a repeated run writes equal rows. While a minute is counted again
it may show the user's use twice for a moment: the new row is there before the old one is emptied, as after any tick
that moves a row. Raw events that a retention has deleted cannot be counted again: their rows are moved as they are, the
new one and the emptied one in one insert.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taximeter_consumers.erasure.places import RECOUNTED
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.rollups.batches import Bounds
from taximeter_consumers.rollups.recompute import begin_repriced, next_version, outdated, recompute
from taximeter_consumers.rollups.repriced import Repriced, steps
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.rollups.definitions import Rollup


def recount(clickhouse: ClickHouse, condition: str, parameters: Mapping[str, Any]) -> None:
    """Counts every minute again that has events of `condition` (over stored_events), in steps. What no event stands
    behind in these minutes is emptied: the rows under the former id."""
    for rows, _ in steps(clickhouse, Repriced(condition, parameters), Bounds()):
        while True:
            book = current_book(clickhouse)
            # So that what this does not write is emptied, as where a copy was counted elsewhere.
            work = replace(begin_repriced(clickhouse, rows, book), has_copies=True)
            try:
                for rollup in RECOUNTED.values():
                    recompute(clickhouse, rollup, work)
            except Retryable:
                if outdated(clickhouse, work):
                    continue
                raise
            if current_book(clickhouse) == book:
                break


def move_rest(clickhouse: ClickHouse, rollup: Rollup, condition: str, parameters: Mapping[str, Any]) -> None:
    """Moves rows under the former id that still count over to `{pseudonym:String}`: none of their events is there any
    more. `condition` is about rows of the rollup."""
    named = {**parameters, "version": next_version(clickhouse)}
    clickhouse.execute(_move_sql(rollup, condition), named)


def _move_sql(rollup: Rollup, condition: str) -> str:
    keys = [name for name, _ in rollup.key]
    moved = ["if(is_former, had.user_id, {pseudonym:String})" if key == "user_id" else f"had.{key}" for key in keys]
    measures = [name for name, _ in rollup.measures]
    kept = [f"if(is_former, defaultValueOfArgumentType(had.{name}), had.{name})" for name in measures]
    return f"""
    INSERT INTO {rollup.table} ({", ".join((*keys, *measures))}, version)
    SELECT {", ".join((*moved, *kept))}, {{version:UInt64}}
    FROM (SELECT * FROM {rollup.table} FINAL WHERE ({condition}) AND events > 0) AS had
    ARRAY JOIN [false, true] AS is_former
    """  # noqa: S608 - our own names
