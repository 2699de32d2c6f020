"""Re-rating in its order: begun, adjustments written, told that they are; the next tick brings them into the rollups.

Adjustments count from the moment at which all of them are written and that is recorded (step 2). A run that dies before
leaves rows that nothing ever reads; the order is simply given again. One that dies afterwards is finished by any tick.
Giving the same order twice adjusts once, because the second finds no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers import failpoints
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.pricing.rate import micros
from taximeter_consumers.reprice.differences import sums_sql, write_sql
from taximeter_consumers.reprice.order import slices
from taximeter_consumers.reprice.summary import Summary
from taximeter_consumers.rollups.tick import tick
from taximeter_schemas.uuid7 import new_event_id

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.cards import Book
    from taximeter_consumers.reprice.order import Order

Progress = Callable[[int], None]
"""Told how many more events were looked at."""

_RECORD: Final = """
INSERT INTO stored_reprices
SELECT {reprice_id:String}, {account:String}, fromUnixTimestamp64Micro({since:Int64}, 'UTC'),
    fromUnixTimestamp64Micro({until:Int64}, 'UTC'), {old:UInt64}, {new:UInt64}, {by:String}, {reason:String},
    {events:UInt64}, toDecimal128({amount:String}, 18), {step:UInt8}, now64(6)
"""
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
    """What the order would change. Writes no adjustment."""
    old, new = _books(clickhouse)
    return Outcome("", old.version, new.version, _summary(clickhouse, order, (old, new), progress))


def rerate(clickhouse: ClickHouse, order: Order, progress: Progress = lambda _: None) -> Outcome:
    """Writes the adjustments of the order, and ticks until they are in the rollups. Raises Retryable when ClickHouse is
    away."""
    old, new = _books(clickhouse)
    summary = _summary(clickhouse, order, (old, new), progress)
    if not summary.total.events:
        return Outcome("", old.version, new.version, summary)
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
    clickhouse.execute(_RECORD, {**record, "events": 0, "amount": "0", "step": 1})
    failpoints.reached("reprice.begun")
    sql = write_sql(old, new)
    for part in slices(clickhouse, order):
        clickhouse.execute(sql, {**part.parameters, "reprice_id": record["reprice_id"]})
        failpoints.reached("reprice.slice_written")
        progress(part.records)
    _finish(clickhouse, record)
    return Outcome(str(record["reprice_id"]), old.version, new.version, summary)


def _finish(clickhouse: ClickHouse, record: dict[str, Any]) -> None:
    events, amount = clickhouse.rows(_WRITTEN, {"reprice_id": record["reprice_id"]})[0]
    clickhouse.execute(_RECORD, {**record, "events": int(events), "amount": f"{amount:f}", "step": 2})
    failpoints.reached("reprice.written")
    waiting = "SELECT count() FROM reprices WHERE reprice_id = {reprice_id:String} AND step < 3"
    while clickhouse.scalar(waiting, {"reprice_id": record["reprice_id"]}):
        tick(clickhouse)


def _books(clickhouse: ClickHouse) -> tuple[Book, Book]:
    return current_book(clickhouse), current_book(clickhouse, hindsight=True)


def _summary(clickhouse: ClickHouse, order: Order, books: tuple[Book, Book], progress: Progress) -> Summary:
    summary, sql = Summary(), sums_sql(*books)
    for part in slices(clickhouse, order):
        summary.add(clickhouse.rows(sql, part.parameters))
        progress(part.records)
    return summary
