"""What has to be recomputed although no event is new: the book has changed, or re-rating has written adjustments.

Both end in a mark, and are done again from the start where a tick died before it. Rows are taken day by day of their
ids, in steps of bounded size, because a new price may touch a year of events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.pricing.changes import changes, condition
from taximeter_consumers.rollups.recompute import Rows

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.cards import Book
    from taximeter_consumers.rollups.batches import Bounds

_LAST_BOOK: Final = "SELECT count(), argMax(book_version, tick) FROM stored_book_versions"
_DAYS: Final = """
SELECT toUInt32(intDiv(toUnixTimestamp64Milli(id_time), 86400000)) AS day, count()
FROM stored_events WHERE {rows} GROUP BY day ORDER BY day
"""
_OF_DAYS: Final = (
    " AND id_time >= fromUnixTimestamp64Milli({begins:Int64}, 'UTC')"
    " AND id_time < fromUnixTimestamp64Milli({ends:Int64}, 'UTC')"
)
_ADJUSTED: Final = """
(account_id, id_time, event_id) IN (
    SELECT account_id, id_time, event_id FROM stored_adjustments WHERE reprice_id = {reprice_id:String}
)
"""
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True)
class Repriced:
    """Rows that may cost something else by now, and how to say that they have been worked in: the book's version, or
    the re-rating."""

    condition: str
    parameters: Mapping[str, Any]
    reprice_id: str = ""


def last_book(clickhouse: ClickHouse) -> int | None:
    """The version of the book that the rollups have worked in; None before the first."""
    count, version = clickhouse.rows(_LAST_BOOK)[0]
    return int(version) if count else None


def by_new_book(clickhouse: ClickHouse, old: int, book: Book) -> Repriced | None:
    """The rows that another version of the book may price differently; None if none."""
    found = changes(clickhouse, old, book.version)
    return Repriced(*condition(found)) if found else None


def by_rerating(clickhouse: ClickHouse) -> Repriced | None:
    """The rows of the oldest re-rating whose adjustments are written and not yet in the rollups; None if none."""
    waiting = clickhouse.rows("SELECT reprice_id FROM reprices WHERE step = 2 ORDER BY at LIMIT 1")
    return Repriced(_ADJUSTED, {"reprice_id": waiting[0][0]}, waiting[0][0]) if waiting else None


def steps(clickhouse: ClickHouse, repriced: Repriced, bounds: Bounds) -> Iterator[tuple[Rows, int]]:
    """The rows in steps of whole days, each with how many they are; a day is always taken, however large it is."""
    days = clickhouse.rows(_DAYS.replace("{rows}", repriced.condition), repriced.parameters)
    begin, ends, taken = None, 0, 0
    for day, count in days:
        if begin is not None and taken + count > bounds.records:
            yield _step(repriced, begin, ends), taken
            begin, taken = None, 0
        begin, ends, taken = day if begin is None else begin, day + 1, taken + count
    if begin is not None:
        yield _step(repriced, begin, ends), taken


def mark_book(clickhouse: ClickHouse, book: Book, version: int) -> None:
    """Records that rollups of `version` have the book worked in."""
    sql = "INSERT INTO stored_book_versions SELECT now64(6), {book:UInt64}, {version:UInt64}"
    clickhouse.execute(sql, {"book": book.version, "version": version})


def mark_rerated(clickhouse: ClickHouse, reprice_id: str) -> None:
    """Records that a re-rating is in the rollups."""
    sql = """
    INSERT INTO stored_reprices
    SELECT * REPLACE (3 AS step, now64(6) AS at) FROM reprices WHERE reprice_id = {reprice_id:String}
    """
    clickhouse.execute(sql, {"reprice_id": reprice_id})


def _step(repriced: Repriced, begin: int, ends: int) -> Rows:
    within = {"begins": begin * _DAY_MS, "ends": ends * _DAY_MS}
    return Rows(repriced.condition + _OF_DAYS, {**repriced.parameters, **within}, arrived_from=0)
