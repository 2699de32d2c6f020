"""What came to an invoiced period after its account's last invoice, and so is due on the next one.

Due are the costs of events that were stored, or were rolled up, only after the invoice, and re-ratings made since.
Where the invoice lacked calls for want of a price and prices were added since, the rows do not tell what is due; such a
difference is passed on as due for that reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_consumers.conservation.hours import SETTINGS
from taximeter_consumers.conservation.measures import Gap, whole
from taximeter_consumers.pricing.charged import charged_events

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.conservation.invoiced import BilledPeriod
    from taximeter_consumers.pricing.cards import Book

_IN_PERIOD: Final = """account_id = {account:String}
AND occurred_at >= toDateTime64({begins:Int64}, 0, 'UTC') AND occurred_at < toDateTime64({ends:Int64}, 0, 'UTC')"""
_SINCE: Final = "fromUnixTimestamp64Micro({issued:Int64}, 'UTC')"
_LATE: Final = f"""
SELECT toString(sumIf(cost - adjusted_cost, stored_late)), toString(sumIf(cost - adjusted_cost, rolled_late))
FROM
(
    SELECT
        cost, adjusted_cost,
        batch_id IN (SELECT batch_id FROM ingest_batches WHERE stored_at > {_SINCE}) AS stored_late,
        batch_id IN (SELECT batch_id FROM stored_rolled_up_batches WHERE tick > {{issued:Int64}}) AS rolled_late
    FROM ({{charged}}) AS charged
    WHERE context != 'system'
)
SETTINGS {SETTINGS}
"""  # noqa: S608 - our own text
_RERATED: Final = f"""
SELECT toString(sum(amount_usd)) FROM adjustments
WHERE {_IN_PERIOD} AND made_at > {_SINCE}
  AND (account_id, event_id) NOT IN (
    SELECT account_id, event_id FROM stored_events WHERE {_IN_PERIOD} AND context = 'system'
  )
"""  # noqa: S608 - our own text
_NEW_PRICES: Final = f"SELECT count() FROM prices WHERE added_at > {_SINCE} AND account_id IN ('', {{account:String}})"  # noqa: S608 - the same


@dataclass(frozen=True)
class Due:
    """An amount, in units of 10^-18 US dollars, that the next invoice has for an earlier period, and why."""

    account_id: str
    period: str
    amount: int
    reason: str


def due(clickhouse: ClickHouse, book: Book, period: BilledPeriod, gap: Gap) -> Due | None:
    """The gap as an amount that is due; None where it is a gap indeed. Raises Retryable."""
    parameters = {
        "account": period.account_id,
        "begins": period.begins,
        "ends": period.ends,
        "issued": period.last_issued,
    }
    missing = -gap.difference
    charged = charged_events(_IN_PERIOD, book)
    stored_late, rolled_late = clickhouse.rows(_LATE.replace("{charged}", charged), parameters)[0]
    rerated = whole(clickhouse.scalar(_RERATED, parameters))
    if missing in (whole(stored_late) + rerated, whole(rolled_late) + rerated):
        return Due(period.account_id, period.label, missing, "late events and re-ratings")
    if period.has_unpriced and int(clickhouse.scalar(_NEW_PRICES, parameters)):
        return Due(period.account_id, period.label, missing, "prices that were added since")
    return None
