"""Deleting raw events that are older than a day, while every sum stays.

Rollups are brought up to date before. The horizon is recorded first: from then on nothing counts what is before it
again, and what had begun to is waited for or refused (`orders.fence`). Then rows go, month by month. A killed deletion
leaves a horizon and some rows; given again it deletes the rest.
Kept are events that arrived after the horizon, whatever their date, and those of runs that reach over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from taximeter_consumers import failpoints
from taximeter_consumers.conservation import flight
from taximeter_consumers.pricing.rate import micros
from taximeter_consumers.retention.horizon import kept_from
from taximeter_consumers.retention.orders import DONE, Order, fence, note
from taximeter_consumers.rollups.tick import tick
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

Say = Callable[[str], None]

LEAST_DAYS: Final = 35
"""Younger events are never deleted: a month must be invoiced first, and late events counted."""

_BEFORE: Final = "fromUnixTimestamp64Micro({kept_from:Int64}, 'UTC')"
_OLD: Final = f"id_time < {_BEFORE} AND occurred_at < {_BEFORE} AND arrived_at < {_BEFORE}"
# All copies of an event, or none of them; all of a run, or nothing.
_DELETED: Final = f"""
{_OLD}
AND (account_id, id_time, event_id) NOT IN (
    SELECT account_id, id_time, event_id FROM stored_events
    WHERE id_time < {_BEFORE} AND (occurred_at >= {_BEFORE} OR arrived_at >= {_BEFORE})
)
AND (account_id, run_id) NOT IN (SELECT account_id, run_id FROM run_costs WHERE ended_at >= {_BEFORE})
"""  # noqa: S608 - our own text
_MONTHS: Final = f"""
SELECT toYYYYMM(id_time) AS month, count() FROM stored_events WHERE {_DELETED} GROUP BY month ORDER BY month
"""  # noqa: S608 - our own text
_LATE: Final = f"SELECT count() FROM stored_events WHERE occurred_at < {_BEFORE} AND arrived_at >= {_BEFORE}"  # noqa: S608 - the same
_WAITING: Final = "SELECT count() FROM reprices WHERE step = 2"
# What stays of the old rows of a month, as hashes. A replicated table refuses a mutation that asks other rows, because
# replicas may answer differently; so it is asked before. An accidental match keeps a run or an event that could go.
_RUN: Final = "sipHash64(account_id, run_id)"
_EVENT: Final = "sipHash64(account_id, event_id)"
_OF_MONTH: Final = "toYYYYMM(id_time) = {month:UInt32}"
_KEPT_RUNS: Final = f"""
SELECT DISTINCT {_RUN} FROM stored_events
WHERE {_OF_MONTH} AND {_OLD}
    AND (account_id, run_id) IN (SELECT account_id, run_id FROM run_costs WHERE ended_at >= {_BEFORE})
"""  # noqa: S608 - our own text
_KEPT_EVENTS: Final = f"""
SELECT DISTINCT {_EVENT}, {_RUN} FROM stored_events
WHERE {_OF_MONTH} AND {_OLD}
    AND (account_id, id_time, event_id) IN (
        SELECT account_id, id_time, event_id FROM stored_events
        WHERE {_OF_MONTH} AND (occurred_at >= {_BEFORE} OR arrived_at >= {_BEFORE})
    )
"""  # noqa: S608 - our own text
_DELETE: Final = f"""
ALTER TABLE stored_events DELETE
WHERE {_OF_MONTH} AND {_OLD} AND {_RUN} % {{slices:UInt64}} = {{slice:UInt64}}
    AND {_RUN} NOT IN {{runs:Array(UInt64)}} AND {_EVENT} NOT IN {{events:Array(UInt64)}}
"""
# A parameter of a statement may have 128 kB.
_HASHES: Final = 3_000
_WAITING_FOR_ALL: Final = {"mutations_sync": 2}


@dataclass(frozen=True)
class Deleted:
    """What a deletion does: the horizon, and rows by month (of the ids)."""

    before: datetime
    months: dict[int, int]

    @property
    def rows(self) -> int:
        """Of all months."""
        return sum(self.months.values())


def day_of(before: datetime, now: datetime) -> datetime:
    """The beginning of the day, UTC. Raises Misconfigured for a day that is too young."""
    day = before.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if day > now - timedelta(days=LEAST_DAYS):
        raise Misconfigured(
            f"raw events of the last {LEAST_DAYS} days are never deleted",
            mend=f"give a day up to {(now - timedelta(days=LEAST_DAYS)).date()}",
        )
    return day


def deletable(clickhouse: ClickHouse, before: datetime) -> Deleted:
    """What would go."""
    return Deleted(before, dict(clickhouse.rows(_MONTHS, {"kept_from": micros(before)})))


def delete(clickhouse: ClickHouse, before: datetime, by: str, say: Say = lambda _: None) -> Deleted:
    """Deletes, and waits until it is done. The horizon never goes back: an earlier day than before deletes nothing new.
    Raises Misconfigured while a re-rating is not in the rollups."""
    say("bringing the rollups up to date")
    mark = flight.Mark.now(clickhouse)
    while flight.pending(clickhouse, mark).batches:
        tick(clickhouse)
    tick(clickhouse)
    if clickhouse.scalar(_WAITING):
        raise Misconfigured("a re-rating is not in the rollups yet", mend="run `taximeter aggregate`, then this again")
    going = deletable(clickhouse, before)
    if micros(before) <= kept_from(clickhouse) and not going.rows:
        return going
    _try(clickhouse, before)
    order = Order(by, micros(before), going.rows)
    say("waiting for sums that are being written")
    fence(clickhouse, order)
    failpoints.reached("retention.noted")
    for month, rows in going.months.items():
        say(f"{month}: {rows:,} rows")
        _delete_month(clickhouse, before, month)
        failpoints.reached("retention.deleted")
    note(clickhouse, order, DONE)
    return going


def slices(runs: list[int], events: list[tuple[int, int]], most: int) -> list[tuple[list[int], list[int]]]:
    """What is to be kept (hashes of runs; of events with their runs), cut by the run's hash modulo how many slices
    there are, so that each has about `most` at most."""
    count = max(1, -(-max(len(runs), len(events)) // most))
    return [
        (
            sorted(run for run in runs if run % count == number),
            sorted({event for event, run in events if run % count == number}),
        )
        for number in range(count)
    ]


def _delete_month(clickhouse: ClickHouse, before: datetime, month: int) -> None:
    of_month = {"kept_from": micros(before), "month": month}
    runs = [int(run) for (run,) in clickhouse.rows(_KEPT_RUNS, of_month)]
    events = [(int(event), int(run)) for event, run in clickhouse.rows(_KEPT_EVENTS, of_month)]
    kept = slices(runs, events, _HASHES)
    for number, (some_runs, some_events) in enumerate(kept):
        some = {"slices": len(kept), "slice": number, "runs": some_runs, "events": some_events}
        clickhouse.execute(_DELETE, of_month | some, _WAITING_FOR_ALL)


def _try(clickhouse: ClickHouse, before: datetime) -> None:
    """The statement without a row: what the server refuses is known before anything is frozen."""
    nothing = {"month": 0, "slices": 1, "slice": 0, "runs": [], "events": []}
    clickhouse.execute(f"{_DELETE} AND 0", {"kept_from": micros(before), **nothing}, _WAITING_FOR_ALL)


def late(clickhouse: ClickHouse) -> int:
    """Rows that arrived after the horizon with a date before it: stored, and in no sum by time."""
    horizon = kept_from(clickhouse)
    return int(clickhouse.scalar(_LATE, {"kept_from": horizon})) if horizon else 0
