"""Charges of an account, read from the rollup and sorted into its billing periods."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_consumers.billing.amounts import ZERO, total
from taximeter_consumers.billing.lines import Charge, Key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from taximeter_consumers.billing.periods import Period
    from taximeter_consumers.clickhouse import ClickHouse

SYSTEM: Final = "system"

# Periods begin on quarters of an hour, so no row of the rollup lies in two.
_CHARGES: Final = """
SELECT
    arrayLastIndex(begin -> begin <= toUnixTimestamp(quarter), {begins:Array(UInt32)}) AS place,
    context = 'system' AS is_system,
    workflow_id, provider, model, unit, service_tier, source, usd_per_unit,
    sum(charges.events), sum(charges.quantity), sum(charges.cost_usd)
FROM charges
WHERE account_id = {account:String} AND quarter >= toDateTime({first:UInt32}, 'UTC')
  AND quarter < toDateTime({end:UInt32}, 'UTC')
GROUP BY ALL
"""
_ACCOUNTS: Final = """
SELECT DISTINCT account_id FROM charges
WHERE quarter >= toDateTime({first:UInt32}, 'UTC') AND quarter < toDateTime({end:UInt32}, 'UTC')
"""


@dataclass(frozen=True)
class Charged:
    """What an account has used: `billable` by period and key, and by period what the platform used for itself."""

    billable: Mapping[str, Mapping[Key, Charge]]
    system_usd: Mapping[str, Decimal]


def read_charges(clickhouse: ClickHouse, account_id: str, periods: Sequence[Period]) -> Charged:
    """Charges of the account in `periods`, which follow each other without a gap."""
    bounds = {
        "account": account_id,
        "begins": [_seconds(period.starts_at) for period in periods],
        "first": _seconds(periods[0].starts_at),
        "end": _seconds(periods[-1].ends_at),
    }
    billable: defaultdict[str, dict[Key, Charge]] = defaultdict(dict)
    system: dict[str, Decimal] = {}
    for place, is_system, *key, events, quantity, cost in clickhouse.rows(_CHARGES, bounds):
        label = periods[place - 1].label
        if is_system:
            system[label] = total((system.get(label, ZERO), cost))
        else:
            billable[label][Key(*key)] = Charge(int(events), quantity, cost)
    return Charged(dict(billable), system)


def charged_accounts(clickhouse: ClickHouse, period: Period) -> set[str]:
    """The accounts with charges between a period's start and end."""
    bounds = {"first": _seconds(period.starts_at), "end": _seconds(period.ends_at)}
    return {row[0] for row in clickhouse.rows(_ACCOUNTS, bounds)}


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
