"""What no invoice will have by itself: use before an account's first invoice, or of an account without any.

A run takes the accounts that used something in the period, and an account's invoices account for what came since its
first one. So an account whose first use of a period arrives after the others were invoiced for it is on nobody's list.
Only periods that some account was invoiced for are told: before the first of all invoices nobody was to be billed.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from taximeter_consumers.audit.balance import Finding, Severity
from taximeter_consumers.billing.periods import Period, closes_at, period_labelled
from taximeter_consumers.billing.settings import read_settings
from taximeter_consumers.conservation.invoiced import read_charges
from taximeter_consumers.conservation.measures import COST, amount
from taximeter_consumers.conservation.scope import ACCOUNTS, MoneyScope
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.money import plain

if TYPE_CHECKING:
    from taximeter_consumers.billing.terms import Terms
    from taximeter_consumers.clickhouse import ClickHouse

_LABELS: Final = "SELECT DISTINCT toString(period) FROM stored_invoices"
# A claimed number counts: the next run issues its invoice.
_FIRST_INVOICES: Final = f"""
SELECT account_id, toString(min(label)) FROM
(
    SELECT account_id, toString(period) AS label FROM stored_invoices WHERE {ACCOUNTS}
    UNION ALL SELECT account_id, toString(period) FROM stored_invoice_numbers FINAL WHERE {ACCOUNTS}
)
GROUP BY account_id
"""  # noqa: S608 - our own text
_FIRST_USES: Final = f"""
SELECT account_id, toUnixTimestamp(min(quarter)) FROM charges
WHERE {ACCOUNTS} AND context != 'system' GROUP BY account_id ORDER BY account_id
"""  # noqa: S608 - the same


def not_billed(clickhouse: ClickHouse, scope: MoneyScope, accounts: Sequence[str], now: datetime) -> list[Finding]:
    """A note for each account and period of that kind. An account whose terms are wrong has none: the run of invoices
    names it. Raises Retryable."""
    labels = [row[0] for row in clickhouse.rows(_LABELS)]
    if not labels:
        return []
    first_invoices = dict(clickhouse.rows(_FIRST_INVOICES, {"accounts": list(accounts)}))
    first_uses = clickhouse.rows(_FIRST_USES, {"accounts": list(accounts)})
    settings = read_settings(clickhouse)
    places = []
    for account, first_use in first_uses:
        try:
            periods = passed_over(settings.of(account).terms, labels, first_invoices.get(account), int(first_use), now)
        except Misconfigured:
            continue
        places += [(account, period) for period in periods if _is_in(scope, period)]
    if not places:
        return []
    bounds = [
        (account, period.label, int(period.starts_at.timestamp()), int(period.ends_at.timestamp()))
        for account, period in places
    ]
    charges = read_charges(clickhouse, bounds)
    return [_note(account, label, cost) for (account, label), cost in sorted(charges.items()) if cost]


def passed_over(
    terms: Sequence[Terms], invoiced: Iterable[str], first_invoice: str | None, first_use: int, now: datetime
) -> list[Period]:
    """The periods of an account, closed at `now`, that others were `invoiced` for and that end after its `first_use`
    (Unix seconds) and come before its first invoice. Pure. Raises Misconfigured."""
    periods = [
        period_labelled(terms, label)
        for label in sorted(set(invoiced))
        if first_invoice is None or label < first_invoice
    ]
    return [period for period in periods if period.ends_at.timestamp() > first_use and closes_at(terms, period) <= now]


def _is_in(scope: MoneyScope, period: Period) -> bool:
    return (scope.since is None or period.ends_at > scope.since) and (
        scope.until is None or period.starts_at < scope.until
    )


def _note(account: str, label: str, cost: int) -> Finding:
    text = (
        f"account {account or '(none)'}, period {label}: {plain(amount(COST, cost))} is on no invoice and will be on"
        " none, it came after the others were invoiced; to bill it:"
        f" `taximeter invoice run --period {label} --account {shlex.quote(account)}`"
    )
    return Finding(Severity.NOTE, "not_billed", text, 1)
