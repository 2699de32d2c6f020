"""What the events of transactions show so far: what a settled hold no longer has to claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from taximeter_consumers.quota.truth.asked_data import asked_rows
from taximeter_consumers.quota.truth.usage import LACKING, Values, aggregate, meter_columns, values_of
from taximeter_schemas.quota.meters import METERS, UNITS_OF_PLUGINS

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

_COLUMNS: Final = {
    name: column for name, column in meter_columns((*METERS, f"{UNITS_OF_PLUGINS}any")).items() if name != LACKING
}
_SQL: Final = """
SELECT account_id, transaction_id, {sums}
FROM transaction_usage
WHERE account_id IN (SELECT account_id FROM asked WHERE transaction_id = '')
  AND transaction_id IN (SELECT transaction_id FROM asked WHERE transaction_id != '')
GROUP BY account_id, transaction_id
"""

Shown = Mapping[tuple[str, str], Values]
"""By account and transaction what its events show."""


def read_shown(clickhouse: ClickHouse, accounts: Iterable[str], transactions: Iterable[str]) -> Shown:
    """What the events of some accounts show of some transactions, in all meters. Raises Retryable."""
    named = [("", transaction_id) for transaction_id in sorted(set(transactions) - {""})]
    if not named:
        return {}
    asked = [(account_id, "") for account_id in sorted(set(accounts))] + named
    sql = _SQL.format(sums=", ".join(aggregate(name) for name in _COLUMNS))
    rows = asked_rows(clickhouse, sql, "account_id String, transaction_id String", asked)
    return {(row[0], row[1]): values_of(tuple(_COLUMNS), row[2:]) for row in rows}
