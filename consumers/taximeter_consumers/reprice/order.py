"""What a re-rating is asked to do, and the stored events that it covers, in slices of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.pricing.rate import micros

if TYPE_CHECKING:
    from datetime import datetime

    from taximeter_consumers.clickhouse import ClickHouse

EVENTS_AT_ONCE: Final = 250_000
"""A slice has about as many events at most; an hour is never cut, however full it is."""

_HOUR_US: Final = 3_600_000_000
_COVERED: Final = """
occurred_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
AND occurred_at < fromUnixTimestamp64Micro({until:Int64}, 'UTC')
AND ({account:String} = '' OR account_id = {account:String})
"""
_HOURS: Final = f"""
SELECT intDiv(toUnixTimestamp64Micro(occurred_at), {_HOUR_US}) AS hour, count()
FROM stored_events WHERE {_COVERED} GROUP BY hour ORDER BY hour
"""  # noqa: S608 - our own condition
# As the ticks do it: found by the index on occurred_at among all copies, read by id time, which all copies share.
SCOPE: Final = f"""
{_COVERED} AND (account_id, toStartOfMinute(id_time)) IN (
    SELECT DISTINCT account_id, toStartOfMinute(id_time) FROM stored_events WHERE {_COVERED}
)
"""  # noqa: S608 - our own condition
"""A condition over stored_events; its parameters are `Slice.parameters`."""


@dataclass(frozen=True)
class Order:
    """Uses that ended from `since` (inclusive) until `until` (exclusive), of one account or of all (empty). `by` and
    `reason` stand beside every adjustment."""

    since: datetime
    until: datetime
    account_id: str = ""
    by: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Slice:
    """A part of an order: Unix microseconds, and how many rows it has."""

    since: int
    until: int
    account_id: str
    records: int

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of SCOPE."""
        return {"since": self.since, "until": self.until, "account": self.account_id}


def slices(clickhouse: ClickHouse, order: Order) -> Iterator[Slice]:
    """The parts of an order, oldest first; stretches without events are left out."""
    since, until = micros(order.since), micros(order.until)
    hours = clickhouse.rows(_HOURS, {"since": since, "until": until, "account": order.account_id})
    begin, taken, ends = None, 0, since
    for hour, count in hours:
        if begin is not None and taken + count > EVENTS_AT_ONCE:
            yield Slice(begin, ends, order.account_id, taken)
            begin, taken = None, 0
        begin = max(since, hour * _HOUR_US) if begin is None else begin
        ends, taken = min(until, (hour + 1) * _HOUR_US), taken + count
    if begin is not None:
        yield Slice(begin, ends, order.account_id, taken)
