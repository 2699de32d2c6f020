"""The one way in which every rollup is recomputed: an INSERT ... SELECT over the touched part of the events.

A recompute reads the events as they stand and writes whole rows with the tick's version; run again or run by two
aggregators at once it writes equal rows. The version is taken after the batches are listed and before anything is read,
so of two recomputes of a row the one with the greater version has seen every batch that the other one had in hand.

A statement that reads events is refused by the server (Retryable) where a later horizon than the one it began with is
sealed: events that it counts on may be gone. Then the work is begun again (`outdated`).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers import failpoints
from taximeter_consumers.retention.horizon import held_back, kept_from, not_frozen, not_sealed
from taximeter_consumers.rollups.batches import ROWS_OF_BATCHES, Batches, pending_from
from taximeter_consumers.rollups.erased import names_erased
from taximeter_consumers.rollups.statements import (
    other_copies_sql,
    price_sql,
    recompute_priced_sql,
    recompute_sql,
    scope_of,
    scope_of_rows,
    touched_sql,
    vanished_sql,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.cards import Book
    from taximeter_consumers.rollups.definitions import Rollup

_READ_AHEAD: Final = "stored_transactions_read"
# Unix milliseconds past every arrival.
_NEVER: Final = 2**42
# Past every recorded tick, so that a clock that was set back does no harm.
_VERSION: Final = """
SELECT greatest(
    toUInt64(toUnixTimestamp64Micro(now64(6))),
    (SELECT max(tick) FROM stored_rolled_up_batches) + 1,
    (SELECT max(tick) FROM stored_book_versions) + 1
)
"""


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
    elsewhere, and whether any row can touch what transactions show. `tick_id`: under which the priced events lie in
    stored_tick_events, if they do. `kept_from`: the horizon of raw events, Unix microseconds."""

    rows: Rows
    book: Book
    version: int
    pending_from: int
    has_copies: bool
    has_transactions: bool
    tick_id: int | None = None
    kept_from: int = 0

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of every statement of the tick."""
        return {**self.rows.parameters, "version": self.version, "pending_from": self.pending_from}

    @property
    def touched(self) -> str:
        """The query for what the rows touch."""
        return held_back(touched_sql(self.rows.condition, has_copies=self.has_copies), self.kept_from)

    @property
    def guard(self) -> str:
        """The condition that fails a statement where events are gone that it counts on."""
        return not_sealed(self.kept_from)


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
    copies = clickhouse.scalar(other_copies_sql(rows.condition), rows.parameters)
    has_copies = copies > 0 or names_erased(clickhouse, rows.condition, rows.parameters)
    # A copy elsewhere may have been one of a transaction.
    shown = has_copies or _has_transactions(clickhouse, rows)
    return Work(
        rows,
        book,
        version,
        min(first or rows.arrived_from, rows.arrived_from),
        has_copies,
        shown,
        kept_from=kept_from(clickhouse),
    )


def begin_repriced(clickhouse: ClickHouse, rows: Rows, book: Book) -> Work:
    """The same for rows that are in the rollups already, and may cost something else by now."""
    version = next_version(clickhouse)
    first = pending_from(clickhouse)
    shown = _has_transactions(clickhouse, rows)
    return Work(
        rows,
        book,
        version,
        _NEVER if first is None else first,
        has_copies=False,
        has_transactions=shown,
        kept_from=kept_from(clickhouse),
    )


@contextmanager
def priced_once(clickhouse: ClickHouse, work: Work, tick_id: int, most_rows: int) -> Iterator[Work]:
    """The same work with its events priced under `tick_id`, until the context ends; as it was, where they are more than
    `most_rows`. A `tick_id` is used by one tick only."""
    named = {**work.parameters, "tick_id": tick_id}
    try:
        clickhouse.execute(price_sql(work.touched, work.book, most_rows + 1, work.guard), named)
        sql = "SELECT count() FROM stored_tick_events WHERE tick_id = {tick_id:UInt64}"
        yield replace(work, tick_id=tick_id) if clickhouse.scalar(sql, named) <= most_rows else work
    finally:
        clickhouse.execute(f"ALTER TABLE stored_tick_events DROP PARTITION {tick_id}")


def recompute(clickhouse: ClickHouse, rollup: Rollup, work: Work) -> None:
    """Recomputes all rows of one rollup that the tick's rows touch."""
    if work.tick_id is not None:
        named = {"version": work.version, "tick_id": work.tick_id}
        clickhouse.execute(recompute_priced_sql(rollup), named)
    else:
        scope = scope_of(rollup.window, work.touched)
        clickhouse.execute(recompute_sql(rollup, scope, work.book, guard=work.guard), work.parameters)
    _end(clickhouse, rollup, work)


def read_ahead(clickhouse: ClickHouse, rollup: Rollup, work: Work) -> None:
    """Recomputes the rows of `AFTER_ALL_OTHERS`, and puts them where nobody looks until they are shown."""
    scope = scope_of(rollup.window, work.touched)
    clickhouse.execute(recompute_sql(rollup, scope, work.book, _READ_AHEAD, work.guard), work.parameters)


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
        clickhouse.execute(vanished_sql(rollup, scope_of_rows(rollup, work.touched)), work.parameters)
    failpoints.reached("aggregate.after_recompute")


def _has_transactions(clickhouse: ClickHouse, rows: Rows) -> bool:
    """Whether any of the rows is one of a transaction: most ticks have none where nothing is reserved, and a statement
    costs some 40 ms of planning, however little there is to do."""
    sql = f"SELECT count() FROM stored_events WHERE ({rows.condition}) AND transaction_id != '' LIMIT 1"  # noqa: S608 - our own text
    return bool(clickhouse.scalar(sql, rows.parameters))


def outdated(clickhouse: ClickHouse, work: Work) -> bool:
    """Whether the horizon has moved since the work began, so that a refused statement is no fault."""
    return kept_from(clickhouse) > work.kept_from


def erase_older(clickhouse: ClickHouse, rollup: Rollup, version: int) -> None:
    """Empties rows that are older than `version` and not frozen: the end of a rebuild, which wrote all the others."""
    kept = not_frozen(rollup.window[0] if rollup.window else None, kept_from(clickhouse))
    clickhouse.execute(vanished_sql(rollup, f"version < {version} AND {kept}"), {"version": version})
