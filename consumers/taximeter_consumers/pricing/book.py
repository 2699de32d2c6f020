"""The price book in ClickHouse: rows are read and appended, never edited. `rate.py` says what a row means.

Appending is one INSERT; repeated, it changes nothing but `added_at`. Of two rows with the same series and instants the
later added one counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.pricing.rate import EPOCH, Discount, Rate
from taximeter_consumers.pricing.units import PLUGIN
from taximeter_schemas.money import COST_SCALE, UNIT_SCALE, exact

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

_RATE_COLUMNS: Final = (
    "account_id",
    "provider",
    "model",
    "unit",
    "service_tier",
    "above_input_tokens",
    "window_start",
    "window_end",
    "valid_from",
    "known_from",
    "usd_per_unit",
    "source",
    "added_by",
)
_DISCOUNT_COLUMNS: Final = (
    "account_id",
    "provider",
    "model",
    "valid_from",
    "known_from",
    "percent",
    "source",
    "added_by",
)


def read_rates(clickhouse: ClickHouse, where: str = "true", parameters: dict[str, Any] | None = None) -> list[Rate]:
    """The rates that meet `where`, a condition over stored_prices, in the order of their series and instants."""
    columns = ", ".join(_RATE_COLUMNS)
    # The table's order is the order of series; without ORDER BY the answer's is not.
    sql = f"SELECT {columns} FROM stored_prices FINAL WHERE {where} ORDER BY {', '.join(_RATE_COLUMNS[:10])}"  # noqa: S608 - our own columns
    return [_row(Rate, _RATE_COLUMNS, row) for row in clickhouse.rows(sql, parameters)]


def read_discounts(clickhouse: ClickHouse) -> list[Discount]:
    """All discounts, by account and instant."""
    columns = ", ".join(_DISCOUNT_COLUMNS)
    sql = f"SELECT {columns} FROM stored_discounts FINAL ORDER BY {', '.join(_DISCOUNT_COLUMNS[:5])}"  # noqa: S608 - our own columns
    return [_row(Discount, _DISCOUNT_COLUMNS, row) for row in clickhouse.rows(sql)]


def append_rates(clickhouse: ClickHouse, rates: Sequence[Rate]) -> int:
    """Appends rates as they are. Returns how many. Raises ValueError for a price finer than the book keeps."""
    for rate in rates:
        if rate.usd_per_unit is not None:
            exact(rate.usd_per_unit, UNIT_SCALE if rate.provider == PLUGIN else COST_SCALE)
    return _append(clickhouse, "stored_prices", _RATE_COLUMNS, rates)


def append_discounts(clickhouse: ClickHouse, discounts: Sequence[Discount]) -> int:
    """Appends discounts as they are. Returns how many."""
    return _append(clickhouse, "stored_discounts", _DISCOUNT_COLUMNS, discounts)


def server_time(clickhouse: ClickHouse) -> datetime:
    """Now, by the clock of ClickHouse, which all instants of the book are compared with."""
    return EPOCH + timedelta(microseconds=int(clickhouse.scalar("SELECT toUnixTimestamp64Micro(now64(6))")))


def _append(clickhouse: ClickHouse, table: str, columns: Sequence[str], rows: Sequence[Rate | Discount]) -> int:
    if rows:
        now = server_time(clickhouse)
        values = [(*(getattr(row, name) for name in columns), now) for row in rows]
        clickhouse.insert(table, (*columns, "added_at"), values)
    return len(rows)


def _row(kind: Any, columns: Sequence[str], row: Sequence[Any]) -> Any:
    return kind(**{name: _zoned(value) for name, value in zip(columns, row, strict=True)})


def _zoned(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
