"""Deleting raw events that are older than a day, while every sum stays.

Rollups are brought up to date before. The horizon is recorded first: from then on nothing counts what is before it
again. Then rows go, month by month. A killed deletion leaves a horizon and some rows; given again it deletes the rest.
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
_KEEP: Final = f"INSERT INTO stored_retentions SELECT {_BEFORE}, {{deleted:UInt64}}, {{by:String}}, now64(6)"


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
    if micros(before) > kept_from(clickhouse) or going.rows:
        clickhouse.execute(_KEEP, {"kept_from": micros(before), "deleted": going.rows, "by": by})
    failpoints.reached("retention.noted")
    for month, rows in going.months.items():
        say(f"{month}: {rows:,} rows")
        sql = f"ALTER TABLE stored_events DELETE WHERE toYYYYMM(id_time) = {{month:UInt32}} AND {_DELETED}"
        clickhouse.execute(sql, {"kept_from": micros(before), "month": month}, {"mutations_sync": 2})
        failpoints.reached("retention.deleted")
    return going


def late(clickhouse: ClickHouse) -> int:
    """Rows that arrived after the horizon with a date before it: stored, and in no sum by time."""
    horizon = kept_from(clickhouse)
    return int(clickhouse.scalar(_LATE, {"kept_from": horizon})) if horizon else 0
