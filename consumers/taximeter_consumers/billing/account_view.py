"""How an account stands: its period of now, what it pays for, and what is left of its credits."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from taximeter_consumers.billing.amounts import ZERO, less
from taximeter_consumers.billing.draft import history_of
from taximeter_consumers.billing.invoice import VOID
from taximeter_consumers.billing.periods import closes_at, period_of
from taximeter_consumers.billing.settings import read_settings
from taximeter_consumers.billing.stored import invoices_of

if TYPE_CHECKING:
    from datetime import datetime

    from taximeter_consumers.clickhouse import ClickHouse


def account_object(clickhouse: ClickHouse, account_id: str, now: datetime) -> dict[str, Any]:
    """Everything about an account at `now`, by the terms that count for its current period."""
    settings = read_settings(clickhouse).of(account_id)
    period = period_of(settings.terms, now)
    standing = [invoice for invoice in invoices_of(clickhouse, account_id) if invoice.status != VOID]
    used = history_of(standing).credits_used
    plan = settings.plan_at(period.starts_at)
    return {
        "account_id": account_id,
        "period": {**asdict(period), "closes_at": closes_at(settings.terms, period)},
        "terms": asdict(settings.terms_at(period.starts_at)),
        "plan": asdict(plan) if plan else None,
        "add_ons": [asdict(add_on) for add_on in settings.add_ons_at(period.starts_at)],
        "credits": [
            {**asdict(one), "left_usd": less(one.amount_usd, used.get(one.credit_id, ZERO))} for one in settings.credits
        ],
    }
