"""Re-rating in its order: begun, adjustments written, told that they are; the next tick brings them into the rollups.

Adjustments count from the moment at which all of them are written and that is recorded (step 2). A run that dies before
leaves rows that nothing ever reads; the order is simply given again. One that dies afterwards is finished by any tick.
Giving the same order twice adjusts once, because the second finds no difference. Of several at once each counts with
costs that no other has changed meanwhile: step 2 is taken in a row, by a claim, and who comes too late starts again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_consumers import failpoints
from taximeter_consumers.clickhouse.claims import first_row
from taximeter_consumers.pricing.book import server_time
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.pricing.changes import changes
from taximeter_consumers.pricing.rate import micros
from taximeter_consumers.reprice.differences import sums_sql, write_sql
from taximeter_consumers.reprice.order import slices
from taximeter_consumers.reprice.summary import Summary
from taximeter_consumers.retention.horizon import require_kept
from taximeter_consumers.rollups.tick import tick
from taximeter_schemas.uuid7 import new_event_id

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.cards import Book
    from taximeter_consumers.reprice.order import Order

Progress = Callable[[int], None]
"""Told how many more events were looked at."""

_BEGIN: Final = """
INSERT INTO stored_reprices
SELECT {reprice_id:String}, {account:String}, fromUnixTimestamp64Micro({since:Int64}, 'UTC'),
    fromUnixTimestamp64Micro({until:Int64}, 'UTC'), {old:UInt64}, {new:UInt64}, {by:String}, {reason:String},
    0, 0, 1, now64(6)
"""
_WRITTEN_ONES: Final = "SELECT uniqExact(reprice_id) FROM stored_reprices WHERE step >= 2"
_IS_WRITTEN: Final = "SELECT max(step) >= 2 FROM stored_reprices WHERE reprice_id = {reprice_id:String}"
_WRITTEN: Final = """
SELECT count(), sum(model_usd + plugin_usd + resource_usd) FROM stored_adjustments FINAL
WHERE reprice_id = {reprice_id:String}
"""


@dataclass(frozen=True)
class Outcome:
    """What a re-rating did. `reprice_id` is empty where nothing had to change."""

    reprice_id: str
    old_book: int
    new_book: int
    summary: Summary


def preview(clickhouse: ClickHouse, order: Order, progress: Progress = lambda _: None) -> Outcome:
    """What the order would change. Writes no adjustment. Raises Misconfigured where raw events of it are deleted."""
    require_kept(clickhouse, micros(order.since), "these uses cannot be priced anew")
    old, new = _books(clickhouse)
    return Outcome("", old.version, new.version, _summary(clickhouse, order, (old, new), progress))


def rerate(clickhouse: ClickHouse, order: Order, progress: Progress = lambda _: None) -> Outcome:
    """Writes the adjustments of the order, and ticks until they are in the rollups. Starts again where another
    re-rating or a price came in between. Raises Retryable when ClickHouse is away, Misconfigured where raw events of it
    are deleted."""
    require_kept(clickhouse, micros(order.since), "these uses cannot be priced anew")
    while True:
        place = int(clickhouse.scalar(_WRITTEN_ONES)) + 1
        old, new = _books(clickhouse)
        summary = _summary(clickhouse, order, (old, new), progress)
        if not summary.total.events:
            return Outcome("", old.version, new.version, summary)
        reprice_id = _written(clickhouse, order, (old, new), progress)
        # What it has written counts for nothing yet: refused here, it never does.
        require_kept(clickhouse, micros(order.since), "these uses cannot be priced anew")
        if not changes(clickhouse, old.version, current_book(clickhouse).version) and _claimed(
            clickhouse, reprice_id, place
        ):
            break
    failpoints.reached("reprice.written")
    waiting = "SELECT count() FROM reprices WHERE reprice_id = {reprice_id:String} AND step < 3"
    while clickhouse.scalar(waiting, {"reprice_id": reprice_id}):
        tick(clickhouse)
    return Outcome(reprice_id, old.version, new.version, summary)


def _written(clickhouse: ClickHouse, order: Order, books: tuple[Book, Book], progress: Progress) -> str:
    """Writes the adjustments of an order, which count for nothing yet. Returns the id of the re-rating."""
    old, new = books
    record = {
        "reprice_id": str(new_event_id()),
        "account": order.account_id,
        "since": micros(order.since),
        "until": micros(order.until),
        "old": old.version,
        "new": new.version,
        "by": order.by,
        "reason": order.reason,
    }
    clickhouse.execute(_BEGIN, record)
    failpoints.reached("reprice.begun")
    sql = write_sql(old, new)
    for part in slices(clickhouse, order):
        clickhouse.execute(sql, {**part.parameters, "reprice_id": record["reprice_id"]})
        failpoints.reached("reprice.slice_written")
        progress(part.records)
    return str(record["reprice_id"])


def _claimed(clickhouse: ClickHouse, reprice_id: str, place: int) -> bool:
    """Tells that all adjustments are written, as the re-rating of that place in the row. False where another one has
    taken the place: it has changed the costs that this one counted with."""
    (begun,) = clickhouse.records(
        "SELECT * FROM stored_reprices WHERE reprice_id = {reprice_id:String} AND step = 1 LIMIT 1",
        {"reprice_id": reprice_id},
    )
    events, amount = clickhouse.rows(_WRITTEN, {"reprice_id": reprice_id})[0]
    told = begun | {"events": int(events), "amount_usd": amount, "step": 2, "at": server_time(clickhouse)}
    row = {column: value if isinstance(value, int) else str(value) for column, value in told.items()}

    def read() -> bool | None:
        if int(clickhouse.scalar(_WRITTEN_ONES)) < place:
            return None
        return bool(clickhouse.scalar(_IS_WRITTEN, {"reprice_id": reprice_id}))

    return first_row(clickhouse, "stored_reprices", f"rerating-{place}", row, read)


def _books(clickhouse: ClickHouse) -> tuple[Book, Book]:
    return current_book(clickhouse), current_book(clickhouse, hindsight=True)


def _summary(clickhouse: ClickHouse, order: Order, books: tuple[Book, Book], progress: Progress) -> Summary:
    summary, sql = Summary(), sums_sql(*books)
    for part in slices(clickhouse, order):
        summary.add(clickhouse.rows(sql, part.parameters))
        progress(part.records)
    return summary
