"""What came to an invoiced period after the invoice that last accounted for it, and so is due on the next one.

Due are the costs of events that were rolled up only after that invoice, what another price book makes of those that it
had, re-ratings made since, and the lines of invoices that became void. All of it is made anew from the events, with the
book that the rollups had when the invoice was made. So a difference passes as due only where it is exactly that much.

An invoice reads the charges at some moment between its time of issue and its being stored. Each tick that this may come
before or after is tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.conservation.hours import SETTINGS
from taximeter_consumers.conservation.measures import Gap, whole
from taximeter_consumers.pricing.charged import charged_events

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.conservation.invoiced import BilledPeriod
    from taximeter_consumers.pricing.cards import Book

# More ticks than this between two steps of one invoice are not tried.
_MOST_TICKS: Final = 1_000
_IN_PERIOD: Final = """account_id = {account:String}
AND occurred_at >= toDateTime64({begins:Int64}, 0, 'UTC') AND occurred_at < toDateTime64({ends:Int64}, 0, 'UTC')"""
_TICKS: Final = """
SELECT DISTINCT tick
FROM (SELECT tick FROM stored_rolled_up_batches UNION ALL SELECT tick FROM stored_book_versions)
WHERE tick <= {latest:UInt64} ORDER BY tick DESC LIMIT {most:UInt32}
"""
_VERSIONS: Final = "SELECT tick, toString(book_version) FROM stored_book_versions ORDER BY tick"
# Costs by the tick that brought them in (0: well before the invoice), and whether the ledger has them later than it.
_COSTS: Final = f"""
SELECT if(rolled.tick > {{floor:UInt64}}, rolled.tick, 0) AS at, ledger.stored_at > {{issued:Int64}} AS stored_late,
    toString(sum(cost - adjusted_cost))
FROM ({{charged}}) AS charged
INNER JOIN (SELECT batch_id, min(tick) AS tick FROM stored_rolled_up_batches GROUP BY batch_id) AS rolled
ON rolled.batch_id = charged.batch_id
LEFT JOIN
(
    SELECT batch_id, min(toUnixTimestamp64Micro(stored_at)) AS stored_at FROM ingest_batches GROUP BY batch_id
) AS ledger ON ledger.batch_id = charged.batch_id
WHERE context != 'system'
GROUP BY at, stored_late
SETTINGS {SETTINGS}
"""  # noqa: S608 - our own text
# By when a re-rating was made, and by when it was in the rollups.
_RERATED: Final = f"""
SELECT
    toString(sumIf(amount_usd, toUnixTimestamp64Micro(made_at) > {{issued:Int64}})),
    toString(sumIf(amount_usd, reprice_id IN (
        SELECT reprice_id FROM reprices WHERE step >= 3 AND toUnixTimestamp64Micro(at) > {{issued:Int64}}
    )))
FROM adjustments
WHERE {_IN_PERIOD} AND (account_id, event_id) NOT IN (
    SELECT account_id, event_id FROM stored_events WHERE {_IN_PERIOD} AND context = 'system'
)
"""  # noqa: S608 - the same


@dataclass(frozen=True)
class Due:
    """An amount, in units of 10^-18 US dollars, that the next invoice has for an earlier period, and why."""

    account_id: str
    period: str
    amount: int
    reason: str


@dataclass(frozen=True)
class Cost:
    """What events cost that one tick has brought in; `tick` 0: before all that are told apart."""

    tick: int
    stored_late: bool
    amount: int

    def is_late(self, tick: int | None) -> bool:
        """Whether they came after a tick; without one, by the ledger."""
        return self.stored_late if tick is None else self.tick > tick


@dataclass(frozen=True)
class Since:
    """What came since an invoice if it was made just after one tick: events, and other prices of those it had."""

    late: int
    repriced: int


def due(clickhouse: ClickHouse, book: Book, period: BilledPeriod, gap: Gap) -> Due | None:
    """The gap as an amount that is due; None where it is a gap indeed. Raises Retryable."""
    cuts = _cuts(clickhouse, period)
    parameters = {
        "account": period.account_id,
        "begins": period.begins,
        "ends": period.ends,
        "issued": period.issued,
        "floor": cuts[0],
    }
    versions = [(int(tick), int(version)) for tick, version in clickhouse.rows(_VERSIONS)]
    costs: dict[int, list[Cost]] = {}

    def costs_by(version: int) -> list[Cost]:
        if version not in costs:
            costs[version] = _costs(clickhouse, replace(book, version=version), parameters)
        return costs[version]

    rerated = {whole(text) for text in clickhouse.rows(_RERATED, parameters)[0]}
    missing = -gap.difference
    for cut in cuts:
        then = costs_by(
            max(((tick, version) for tick, version in versions if tick <= cut), default=(0, book.version))[1]
        )
        for since in since_cut(costs_by(book.version), then, cut):
            for more in sorted(rerated):
                if missing == since.late + since.repriced + more + period.voided:
                    return Due(period.account_id, period.label, missing, _reason(since, more, period.voided))
    return None


def since_cut(now: Sequence[Cost], then: Sequence[Cost], cut: int) -> list[Since]:
    """What came since, given all costs by the book of now and by that of `then`; first by ticks, then by the ledger,
    for rollups that were made anew since. Pure."""
    found = []
    for after in (cut, None):
        late = sum(cost.amount for cost in now if cost.is_late(after))
        kept = sum(cost.amount for cost in now if not cost.is_late(after))
        found.append(Since(late, kept - sum(cost.amount for cost in then if not cost.is_late(after))))
    return found


def _cuts(clickhouse: ClickHouse, period: BilledPeriod) -> list[int]:
    """The ticks after which the invoice may have been made, ascending: the last one before, and those meanwhile."""
    first, last = sorted((period.issued, period.stored))
    ticks = [int(row[0]) for row in clickhouse.rows(_TICKS, {"latest": last, "most": _MOST_TICKS})]
    return [max((tick for tick in ticks if tick <= first), default=0), *sorted(tick for tick in ticks if tick > first)]


def _costs(clickhouse: ClickHouse, book: Book, parameters: dict[str, Any]) -> list[Cost]:
    sql = _COSTS.replace("{charged}", charged_events(_IN_PERIOD, book))
    return [Cost(int(tick), bool(late), whole(amount)) for tick, late, amount in clickhouse.rows(sql, parameters)]


def _reason(since: Since, rerated: int, voided: int) -> str:
    parts = {
        "late events": since.late,
        "prices that were added since": since.repriced,
        "re-ratings": rerated,
        "invoices that are void": voided,
    }
    return ", ".join(name for name, amount in parts.items() if amount)
