"""A tick: takes the batches that no tick has recorded, recomputes every rollup row they touch, records them last.

Before that it works in a changed price book, so that what it compares the next one with has every name of the batches;
afterwards, what has changed meanwhile and what was re-rated. Each is recorded when all that it touches is recomputed.

On a crash anywhere the batches stay unrecorded and the next tick repeats the whole, with the same result. On shutdown
nothing is held that could be lost. A tick over nothing new does nothing. Two aggregators at once do the work twice.
"""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from taximeter_consumers import failpoints
from taximeter_consumers.pricing.aliases import match_new_models, rematch_models
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.rollups.batches import (
    ROWS_OF_BATCHES,
    Batches,
    Bounds,
    batches_after,
    mark_rolled_up,
    new_batches,
)
from taximeter_consumers.rollups.definitions import AFTER_ALL_OTHERS, IN_ANY_ORDER, ROLLUPS
from taximeter_consumers.rollups.recompute import (
    begin,
    begin_repriced,
    erase_older,
    next_version,
    outdated,
    priced_once,
    read_ahead,
    recompute,
    rows_of,
    show,
)
from taximeter_consumers.rollups.repriced import by_new_book, by_rerating, last_book, mark_book, mark_rerated, steps
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Callable

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.cards import Book
    from taximeter_consumers.rollups.recompute import Work
    from taximeter_consumers.rollups.repriced import Repriced

    Turned = Callable[[], object]

# Two at once: each may hold up to half a gigabyte before it spills.
_AT_ONCE: Final = 2

__all__ = ["Bounds", "Rebuilt", "Tick", "rebuild", "tick"]


@dataclass(frozen=True)
class Tick:
    """What a tick did; `version` is None where nothing was new. `repriced` are events recomputed for new prices.
    `arrived_from`: when the first record of its batches arrived in Kafka, Unix milliseconds."""

    batches: int = 0
    records: int = 0
    models_matched: int = 0
    repriced: int = 0
    version: int | None = None
    arrived_from: int | None = None


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild went through."""

    batches: int
    records: int


def _nobody() -> None:
    """Watches the steps of a tick."""


def tick(clickhouse: ClickHouse, bounds: Bounds | None = None, turned: Turned = _nobody) -> Tick:
    """Works in what is new, up to `bounds`: the oldest new batches, what a changed book prices anew, what was re-rated.

    What is priced anew may be a year of events: `turned` is called after each step. Raises Retryable when ClickHouse is
    away.
    """
    bounds = bounds or Bounds()
    batches = new_batches(clickhouse, bounds)
    done = Tick() if batches is None else roll_up(clickhouse, batches, bounds, turned)
    # Names that found no match are looked up again once the book has grown, whether or not there are new batches.
    matched = match_new_models(clickhouse, "false", {}) if batches is None else 0
    repriced, version = _reprice(clickhouse, bounds, turned)
    return Tick(
        done.batches,
        done.records,
        done.models_matched + matched,
        done.repriced + repriced,
        done.version if version is None else version,
        done.arrived_from,
    )


def roll_up(clickhouse: ClickHouse, batches: Batches, bounds: Bounds | None = None, turned: Turned = _nobody) -> Tick:
    """Recomputes what `batches` touch, and records them. With `bounds` a changed book is worked in before."""
    failpoints.reached("aggregate.before_match")
    matched = match_new_models(clickhouse, ROWS_OF_BATCHES, batches.parameters)
    failpoints.reached("aggregate.after_match")
    repriced, _ = (0, None) if bounds is None else _work_in_book(clickhouse, bounds, turned)
    priced_rows = (bounds or Bounds()).priced_rows
    work = _recompute_all(clickhouse, partial(begin, clickhouse, rows_of(batches)), priced_rows)
    failpoints.reached("aggregate.before_record")
    mark_rolled_up(clickhouse, batches, work.version)
    failpoints.reached("aggregate.after_record")
    return Tick(len(batches.rows), batches.records, matched, repriced, work.version, batches.arrived_from)


def rebuild(clickhouse: ClickHouse, bounds: Bounds | None = None) -> Rebuilt:
    """Recomputes every rollup row from all batches of the ledger, in steps of `bounds`.

    Rows that no event stands behind are emptied at the end. Broken off, it leaves right rows.
    """
    rematch_models(clickhouse)
    match_new_models(clickhouse, "true", {})
    book = current_book(clickhouse)
    first_version, last = None, None
    batches, records = 0, 0
    while (step := batches_after(clickhouse, last, bounds or Bounds())) is not None:
        done = roll_up(clickhouse, step)
        first_version = first_version or done.version
        last = step.rows[-1]
        batches, records = batches + done.batches, records + done.records
    if first_version is not None:
        # What transactions show goes first, as it comes last: it must never be more than the sums have.
        for rollup in reversed(ROLLUPS):
            erase_older(clickhouse, rollup, first_version)
    # What changed meanwhile is left to the next tick.
    mark_book(clickhouse, book, next_version(clickhouse))
    return Rebuilt(batches, records)


def _reprice(clickhouse: ClickHouse, bounds: Bounds, turned: Turned) -> tuple[int, int | None]:
    """Works in a changed book and what was re-rated. Returns how many events were recomputed, and with which version;
    None where there was nothing to do."""
    records, version = _work_in_book(clickhouse, bounds, turned)
    while (rerated := by_rerating(clickhouse)) is not None:
        more, last = _recompute_repriced(clickhouse, rerated, bounds, turned)
        records, version = records + more, last or version
        failpoints.reached("aggregate.before_rerated")
        mark_rerated(clickhouse, rerated.reprice_id)
    return records, version


def _work_in_book(clickhouse: ClickHouse, bounds: Bounds, turned: Turned) -> tuple[int, int | None]:
    book = current_book(clickhouse)
    records, version = 0, None
    known = last_book(clickhouse)
    if known != book.version:
        changed = None if known is None else by_new_book(clickhouse, known, book)
        records, version = _recompute_repriced(clickhouse, changed, bounds, turned)
        mark_book(clickhouse, book, version or next_version(clickhouse))
    return records, version


def _recompute_repriced(
    clickhouse: ClickHouse, repriced: Repriced | None, bounds: Bounds, turned: Turned
) -> tuple[int, int | None]:
    records, version = 0, None
    for rows, count in () if repriced is None else steps(clickhouse, repriced, bounds):
        work = _recompute_all(clickhouse, partial(begin_repriced, clickhouse, rows), bounds.priced_rows)
        failpoints.reached("aggregate.after_repriced")
        records, version = records + count, work.version
        turned()
    return records, version


def _recompute_all(clickhouse: ClickHouse, begun: Callable[[Book], Work], priced_rows: int) -> Work:
    """Recomputes every rollup, again if the book has changed meanwhile: a tick with an older version may have worked
    the new book in, and its rows must not be covered by rows of the old one. Again as well where raw events are
    about to be deleted: then without what is frozen by that."""
    while True:
        book = current_book(clickhouse)
        work = begun(book)
        failpoints.reached("aggregate.after_begin")
        try:
            with priced_once(clickhouse, work, secrets.randbits(63), priced_rows) as priced:
                _recompute_each(clickhouse, priced)
        except Retryable:
            if outdated(clickhouse, work):
                continue
            raise
        if current_book(clickhouse) == book:
            return work


def _recompute_each(clickhouse: ClickHouse, work: Work) -> None:
    # What was priced once is of one instant, so what transactions show needs no care but to come last.
    ahead = work.has_transactions and work.tick_id is None
    if ahead:
        # Read before the others and shown after them: events that are stored meanwhile are in the use that quotas
        # sum up, and not in what transactions show.
        read_ahead(clickhouse, AFTER_ALL_OTHERS, work)
    # They may run in any order. Most of a small recompute is planning, which the server does on one core.
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="rollup") as threads:
        list(threads.map(partial(recompute, clickhouse, work=work), IN_ANY_ORDER))
    if ahead:
        show(clickhouse, AFTER_ALL_OTHERS, work)
    elif work.has_transactions:
        recompute(clickhouse, AFTER_ALL_OTHERS, work)
