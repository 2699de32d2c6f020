"""What was billed against what was charged: the lines of invoices, by account and billing period.

For every billing period from an account's first invoice to its last, whether it has an invoice of its own or not, the
charges that are not the platform's own are the sum of the usage and late lines that name the period, on whichever
invoice that is not void. What was charged after the invoice that last accounted for it (late events, re-ratings) is on
the next one: as much as that comes to is due, and no gap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final

from taximeter_consumers.billing.periods import Month
from taximeter_consumers.conservation.measures import COST, Gap, Place, whole
from taximeter_consumers.conservation.scope import ACCOUNTS, MoneyScope

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

PAIR: Final = "charges = invoice lines"

_THERE: Final = """
SELECT count() FROM system.tables WHERE database = currentDatabase() AND name IN ('invoices', 'invoice_lines')
"""
_INVOICES: Final = f"""
SELECT
    number, account_id, period, toUnixTimestamp(starts_at), toUnixTimestamp(ends_at),
    toUnixTimestamp64Micro(issued_at), stored.at, status = 'void', toUnixTimestamp64Micro(status_at)
FROM invoices
INNER JOIN
(
    SELECT number, min(toUnixTimestamp64Micro(stored_at)) AS at FROM stored_invoices GROUP BY number
) AS stored ON stored.number = invoices.number
WHERE {ACCOUNTS}
ORDER BY number
"""  # noqa: S608 - our own text
_LINES: Final = f"""
SELECT if(status = 'void', number, 0) AS void_number, account_id, period, toString(sum(amount_usd))
FROM invoice_lines
WHERE {ACCOUNTS} AND kind IN ('usage', 'late')
GROUP BY void_number, account_id, period
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
class Head:
    """An invoice, void or not: its period (Unix seconds), when it was issued and stored, and when it became void (Unix
    microseconds; None: it is not)."""

    number: int
    account_id: str
    label: str
    begins: int
    ends: int
    issued: int
    stored: int
    void_at: int | None = None


@dataclass(frozen=True)
class BilledPeriod:
    """A billing period that invoices stand for. The one that last accounted for it was `issued` and `stored` then, Unix
    microseconds; `voided` is what it and others had billed for the period and, being void since, bill no more.
    Periods without an invoice of their own are taken together: `until_label` is the last of them."""

    account_id: str
    label: str
    begins: int
    ends: int
    issued: int
    stored: int
    voided: int = 0
    until_label: str = ""

    def has(self, label: str) -> bool:
        """Whether lines for the period `label` are for this one."""
        return self.label <= label <= (self.until_label or self.label)


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
                label = f"{period.label} to {period.until_label}" if period.until_label else period.label
                place = Place(period.account_id, "period", label)
                found.append((period, Gap(PAIR, place, COST, left, right)))
        return found


def has_invoices(clickhouse: ClickHouse) -> bool:
    """Whether there is billing at all: a database of an earlier version has no such views."""
    return int(clickhouse.scalar(_THERE)) == 2


def read_billed(clickhouse: ClickHouse, scope: MoneyScope, accounts: Sequence[str]) -> Billed:
    """Both sides for some accounts, of the periods that have a part in the scope. Raises Retryable."""
    parameters = {"accounts": list(accounts)}
    heads = []
    for number, account, label, begins, ends, issued, stored, is_void, status_at in clickhouse.rows(
        _INVOICES, parameters
    ):
        heads.append(Head(number, account, label, begins, ends, issued, stored, status_at if is_void else None))
    lines = {
        (number, account, label): whole(amount)
        for number, account, label, amount in clickhouse.rows(_LINES, parameters)
    }
    periods = [
        period
        for _, group in groupby(sorted(heads, key=lambda head: head.account_id), key=lambda head: head.account_id)
        for period in billed_periods(list(group), lines)
        if (scope.since is None or period.ends > scope.since.timestamp())
        and (scope.until is None or period.begins < scope.until.timestamp())
    ]
    if not periods:
        return Billed()
    kept = read_charges(clickhouse, [(one.account_id, one.label, one.begins, one.ends) for one in periods])
    return Billed(tuple(periods), kept, _standing(periods, lines))


def read_charges(clickhouse: ClickHouse, periods: Sequence[tuple[str, str, int, int]]) -> dict[tuple[str, str], int]:
    """What some periods cost, given as account, label, begin and end (Unix seconds), without the platform's own use: by
    account and label, in units of 10^-18 US dollars. Raises Retryable."""
    names = ("at_accounts", "labels", "begins", "ends")
    bounds = {name: [period[place] for period in periods] for place, name in enumerate(names)}
    charged = clickhouse.rows(_CHARGES, {**bounds, "accounts": sorted({period[0] for period in periods})})
    return {(account, label): whole(amount) for account, label, amount in charged}


def billed_periods(heads: Sequence[Head], lines: Mapping[tuple[int, str, str], int]) -> Iterator[BilledPeriod]:
    """The periods that the invoices of one account stand for, from its first to its last that is not void, without a
    gap. `lines` are what invoices bill, by number (0: all that are not void), account and period. Pure."""
    standing = [head.label for head in heads if head.void_at is None]
    bounds = {head.label: (head.begins, head.ends) for head in heads if standing and head.label <= max(standing)}
    before: tuple[str, int] | None = None
    for label, (begins, ends) in sorted(bounds.items()):
        if before is not None and before[1] < begins:
            first, last = str(Month.of_label(before[0]).plus(1)), str(Month.of_label(label).plus(-1))
            yield _billed(heads, lines, (first, last), (before[1], begins))
        yield _billed(heads, lines, (label, label), (begins, ends))
        before = label, ends


def _billed(
    heads: Sequence[Head],
    lines: Mapping[tuple[int, str, str], int],
    labels: tuple[str, str],
    bounds: tuple[int, int],
) -> BilledPeriod:
    first, last = labels
    # The content of an account's invoices is made in the order of their numbers, each from the first period on that had
    # one by then.
    since = {head.number: min(other.label for other in heads if other.number <= head.number) for head in heads}
    accounting = [head for head in heads if since[head.number] <= first and last <= head.label]
    if not accounting:
        return BilledPeriod(heads[0].account_id, first, *bounds, 0, 0, until_label=last if last != first else "")
    accounted = max(accounting, key=lambda head: head.number)
    account = accounted.account_id
    voided = 0
    for head in heads:
        if head.void_at is not None and (head == accounted or head.void_at > accounted.issued):
            of_invoice = (
                amount
                for (number, _, label), amount in lines.items()
                if number == head.number and first <= label <= last
            )
            voided += sum(of_invoice)
    return BilledPeriod(
        account, first, *bounds, accounted.issued, accounted.stored, voided, last if last != first else ""
    )


def _standing(periods: Sequence[BilledPeriod], lines: Mapping[tuple[int, str, str], int]) -> dict[tuple[str, str], int]:
    """What stands on invoices for each of some periods, by (account, label)."""
    billed: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for (number, account, label), amount in lines.items():
        if number == 0:
            billed[account].append((label, amount))
    return {
        (period.account_id, period.label): sum(
            amount for label, amount in billed[period.account_id] if period.has(label)
        )
        for period in periods
    }
