"""The billing periods of accounts with terms of their own, written out for the view `period_costs`.

They follow from the terms, so writing them again changes nothing, and a crash is mended by the next write.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from taximeter_consumers.billing.periods import Month, Period, periods_from

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taximeter_consumers.billing.terms import Terms
    from taximeter_consumers.clickhouse import ClickHouse

MONTHS_AHEAD: Final = 36
_MONTHS_KEPT: Final = 12
_COLUMNS: Final = ("account_id", "label", "starts_at", "ends_at")
_HELD: Final = "SELECT account_id, label, starts_at, ends_at FROM billing_periods"


def hold_periods(clickhouse: ClickHouse, terms: Mapping[str, Sequence[Terms]], now: datetime) -> int:
    """Writes what is missing or has changed of the accounts' periods, three years ahead. Returns how many rows."""
    held = {
        (account_id, label): (starts_at.replace(tzinfo=UTC), ends_at.replace(tzinfo=UTC))
        for account_id, label, starts_at, ends_at in clickhouse.rows(_HELD)
    }
    rows = []
    for account_id, history in terms.items():
        wanted = own_periods(history, now)
        known = [held.get((account_id, period.label)) for period in wanted]
        changed = [
            period
            for period, bounds in zip(wanted, known, strict=True)
            if bounds is not None and bounds != (period.starts_at, period.ends_at)
        ]
        missing = [period for period, bounds in zip(wanted, known, strict=True) if bounds is None]
        if changed or len(missing) > MONTHS_AHEAD - _MONTHS_KEPT or any(_is_past(period, now) for period in missing):
            rows += [(account_id, period.label, period.starts_at, period.ends_at) for period in (*changed, *missing)]
    if rows:
        clickhouse.insert("stored_billing_periods", _COLUMNS, rows)
    return len(rows)


def own_periods(history: Sequence[Terms], now: datetime) -> list[Period]:
    """The periods from the month of the first terms on, or from this month on, until three years from `now`."""
    first = min(terms.valid_from for terms in history).astimezone(UTC)
    begin, end = Month(first.year, first.month), Month(now.year, now.month).plus(MONTHS_AHEAD)
    periods = []
    for period in periods_from(history, begin):
        if period.label > str(end):
            break
        periods.append(period)
    return periods


def _is_past(period: Period, now: datetime) -> bool:
    return period.starts_at <= now
