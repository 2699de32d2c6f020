"""Which ingest batches a tick works on: those of the sink's ledger that no tick has recorded yet.

The ledger is looked at from an hour before the newest recorded batch on, so that a look costs the same however long
the ledger is, and a batch that shows up late (a slow commit, two clocks) is still found. While the newest one is in the
future, which a clock that was set back leaves behind, the whole ledger is looked at. Oldest first and bounded, so
that a backlog is worked off in equal steps.

Copies of a batch (it was stored, and its sink died before the commit) have one id and are put together by it: with
FINAL the engine would merge, and so read, the whole ledger for each look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

LATE_SECONDS: Final = 3600

NOT_ROLLED_UP: Final = """
WHERE stored_at > (
    SELECT if(max(stored_at) > now64(6), toDateTime64(0, 6, 'UTC'), max(stored_at)) FROM stored_rolled_up_batches
) - INTERVAL {late:UInt32} SECOND
AND batch_id NOT IN (
    SELECT batch_id FROM stored_rolled_up_batches
    WHERE stored_at > (
        SELECT if(max(stored_at) > now64(6), toDateTime64(0, 6, 'UTC'), max(stored_at)) FROM stored_rolled_up_batches
    ) - INTERVAL {late:UInt32} SECOND
)
"""
_LEDGER: Final = " FROM stored_ingest_batches "
_ROW: Final = (
    "SELECT batch_id, toUnixTimestamp64Micro(max(stored_at)) AS newest,"
    " toUnixTimestamp64Milli(any(arrived_at)), any(records)" + _LEDGER
)
_OLDEST_FIRST: Final = " GROUP BY batch_id ORDER BY newest, batch_id LIMIT {limit:UInt32}"
_NEW: Final = _ROW + NOT_ROLLED_UP + _OLDEST_FIRST
_FIRST_PENDING: Final = "SELECT count(), toUnixTimestamp64Milli(min(arrived_at))" + _LEDGER + NOT_ROLLED_UP
_AFTER: Final = (
    _ROW
    + """
WHERE stored_at >= fromUnixTimestamp64Micro({stored_at:Int64}, 'UTC')
    AND (toUnixTimestamp64Micro(stored_at), batch_id) > ({stored_at:Int64}, {batch_id:UInt64})
"""
    + _OLDEST_FIRST
)

ROWS_OF_BATCHES: Final = """
arrived_at >= fromUnixTimestamp64Milli({arrived_from:Int64}, 'UTC')
AND arrived_at <= fromUnixTimestamp64Milli({arrived_to:Int64}, 'UTC')
AND batch_id IN {batch_ids:Array(UInt64)}
"""
"""The condition on stored_events that picks the rows of some batches; its parameters are `Batches.parameters`."""


@dataclass(frozen=True)
class Batch:
    """One row of the ledger: Unix microseconds when stored, Unix milliseconds when it arrived in Kafka."""

    batch_id: int
    stored_at: int
    arrived_at: int
    records: int


@dataclass(frozen=True)
class Batches:
    """The batches of one tick, oldest first; never empty."""

    rows: tuple[Batch, ...]

    @property
    def records(self) -> int:
        """How many messages they hold."""
        return sum(batch.records for batch in self.rows)

    @property
    def arrived_from(self) -> int:
        """When the first of them arrived in Kafka, Unix milliseconds."""
        return min(batch.arrived_at for batch in self.rows)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of ROWS_OF_BATCHES."""
        return {
            "batch_ids": sorted({batch.batch_id for batch in self.rows}),
            "arrived_from": self.arrived_from,
            "arrived_to": max(batch.arrived_at for batch in self.rows),
        }


@dataclass(frozen=True)
class Bounds:
    """How much one tick takes at most. One batch is always taken, however large it is.

    Up to `priced_rows` events are priced once for all rollups, which saves planning. More are priced for each rollup:
    a tick in a busy hour should write no copy of the hour.
    """

    records: int = 500_000
    batches: int = 2_000
    priced_rows: int = 50_000


def within(found: list[Batch], bounds: Bounds) -> Batches | None:
    """The longest beginning of `found` that keeps the bounds; None of nothing."""
    taken: list[Batch] = []
    records = 0
    for batch in found[: bounds.batches]:
        records += batch.records
        if taken and records > bounds.records:
            break
        taken.append(batch)
    return Batches(tuple(taken)) if taken else None


def new_batches(clickhouse: ClickHouse, bounds: Bounds) -> Batches | None:
    """The oldest batches that are not rolled up, or None."""
    found = clickhouse.rows(_NEW, {"late": LATE_SECONDS, "limit": bounds.batches})
    return within([Batch(*row) for row in found], bounds)


def batches_after(clickhouse: ClickHouse, last: Batch | None, bounds: Bounds) -> Batches | None:
    """The batches of the whole ledger that follow `last` (from the start on: None), rolled up or not."""
    after = {"stored_at": last.stored_at if last else 0, "batch_id": last.batch_id if last else 0}
    found = clickhouse.rows(_AFTER, {**after, "limit": bounds.batches})
    return within([Batch(*row) for row in found], bounds)


def pending_from(clickhouse: ClickHouse) -> int | None:
    """When the first of all batches that are not rolled up arrived in Kafka, Unix milliseconds; None if none is."""
    count, arrived = clickhouse.rows(_FIRST_PENDING, {"late": LATE_SECONDS})[0]
    return int(arrived) if count else None


def mark_rolled_up(clickhouse: ClickHouse, batches: Batches, version: int) -> None:
    """Records that `batches` are in the rollups of `version`: the last thing a tick does."""
    sql = """
    INSERT INTO stored_rolled_up_batches (batch_id, stored_at, tick)
    SELECT batch.1, fromUnixTimestamp64Micro(batch.2, 'UTC'), {version:UInt64}
    FROM (SELECT arrayJoin({batches:Array(Tuple(UInt64, Int64))}) AS batch)
    """
    rows = [(batch.batch_id, batch.stored_at) for batch in batches.rows]
    clickhouse.execute(sql, {"batches": rows, "version": version})
