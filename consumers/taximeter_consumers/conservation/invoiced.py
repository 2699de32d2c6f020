"""What was billed against what was charged: the lines of invoices, by account and billing period.

For every billing period of an account that an invoice stands for, the charges that are not the platform's own are the
sum of the usage and late lines that name the period, on whichever invoice that is not void. What was charged after the
account's last invoice (late events, re-ratings) is on its next one: as much as that comes to is due, and no gap.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from taximeter_consumers.conservation.measures import COST, Gap, Place, whole
from taximeter_consumers.conservation.scope import ACCOUNTS, MoneyScope

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

PAIR: Final = "charges = invoice lines"

_THERE: Final = """
SELECT count() FROM system.tables WHERE database = currentDatabase() AND name IN ('invoices', 'invoice_lines')
"""
_INVOICES: Final = f"""
SELECT account_id, period, toUnixTimestamp(starts_at), toUnixTimestamp(ends_at), toUnixTimestamp64Micro(issued_at)
FROM invoices
WHERE {ACCOUNTS} AND status != 'void'
"""  # noqa: S608 - our own text
_LINES: Final = f"""
SELECT account_id, period, toString(sum(amount_usd)), countIf(source = 'unpriced') > 0
FROM invoice_lines
WHERE {ACCOUNTS} AND status != 'void' AND kind IN ('usage', 'late')
GROUP BY account_id, period
"""  # noqa: S608 - our own text
# A quarter belongs to the last period that begins with or before it, if it has not ended by then.
_CHARGES: Final = """
SELECT charged.account_id, billed.label, toString(sum(charged.cost))
FROM
(
    SELECT account_id, toUnixTimestamp(quarter) AS at, sum(cost_usd) AS cost FROM charges
    WHERE account_id IN {accounts:Array(String)} AND context != 'system'
    GROUP BY account_id, at
) AS charged
ASOF JOIN
(
    SELECT one.1 AS account_id, one.2 AS label, one.3 AS begins, one.4 AS ends
    FROM (SELECT arrayJoin(arrayZip(
        {at_accounts:Array(String)}, {labels:Array(String)}, {begins:Array(UInt32)}, {ends:Array(UInt32)})) AS one)
) AS billed
ON charged.account_id = billed.account_id AND charged.at >= billed.begins
WHERE charged.at < billed.ends
GROUP BY charged.account_id, billed.label
"""


@dataclass(frozen=True)
class BilledPeriod:
    """A billing period that has an invoice; the account's last invoice was issued at `last_issued`, Unix microseconds.

    `has_unpriced`: what was billed for it lacks calls that had no price."""

    account_id: str
    label: str
    begins: int
    ends: int
    last_issued: int
    has_unpriced: bool = False


@dataclass(frozen=True)
class Billed:
    """The two sides of some accounts, by (account, period): amounts in units of 10^-18 US dollars."""

    periods: tuple[BilledPeriod, ...] = ()
    charges: Mapping[tuple[str, str], int] = field(default_factory=dict)
    lines: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def open_periods(self) -> list[tuple[BilledPeriod, Gap]]:
        """The periods whose sides differ, each as the gap that it is if nothing is due."""
        found = []
        for period in self.periods:
            key = (period.account_id, period.label)
            left, right = self.charges.get(key, 0), self.lines.get(key, 0)
            if left != right:
                place = Place(period.account_id, "period", period.label)
                found.append((period, Gap(PAIR, place, COST, left, right)))
        return found


def has_invoices(clickhouse: ClickHouse) -> bool:
    """Whether there is billing at all: a database of an earlier version has no such views."""
    return int(clickhouse.scalar(_THERE)) == 2


def read_billed(clickhouse: ClickHouse, scope: MoneyScope, accounts: Sequence[str]) -> Billed:
    """Both sides for some accounts, of the periods that have a part in the scope. Raises Retryable."""
    parameters = {"accounts": list(accounts)}
    invoices = clickhouse.rows(_INVOICES, parameters)
    lines, unpriced = {}, set()
    for account, label, amount, lacks in clickhouse.rows(_LINES, parameters):
        lines[account, label] = whole(amount)
        if lacks:
            unpriced.add((account, label))
    periods = billed_periods(invoices, unpriced, scope)
    if not periods:
        return Billed()
    bounds = {
        "at_accounts": [period.account_id for period in periods],
        "labels": [period.label for period in periods],
        "begins": [period.begins for period in periods],
        "ends": [period.ends for period in periods],
    }
    charged = clickhouse.rows(_CHARGES, {**parameters, **bounds})
    kept = {(period.account_id, period.label) for period in periods}
    return Billed(
        periods,
        {(account, label): whole(amount) for account, label, amount in charged},
        {key: amount for key, amount in lines.items() if key in kept},
    )


def billed_periods(
    invoices: Sequence[tuple[str, str, int, int, int]], unpriced: Collection[tuple[str, str]], scope: MoneyScope
) -> tuple[BilledPeriod, ...]:
    """The periods of invoices (account, label, begin, end, issued) that have a part in the scope, each once. Pure."""
    last: dict[str, int] = {}
    for account, _, _, _, issued in invoices:
        last[account] = max(last.get(account, issued), issued)
    bounds = {(account, label): (begins, ends) for account, label, begins, ends, _ in invoices}
    return tuple(
        BilledPeriod(account, label, begins, ends, last[account], (account, label) in unpriced)
        for (account, label), (begins, ends) in sorted(bounds.items())
        if (scope.since is None or ends > scope.since.timestamp())
        and (scope.until is None or begins < scope.until.timestamp())
    )
