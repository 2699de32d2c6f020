"""The first price book: `rates.csv`, dated list prices, appended to `stored_rates`.

Loading only appends what is not there, so it can be repeated, interrupted and run twice at once. A row that is there
already, by (provider, model, unit, instant), is left as it is, whoever put it there.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import resources
from typing import TYPE_CHECKING

from taximeter_schemas.money import COST_SCALE, exact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taximeter_consumers.clickhouse import ClickHouse

_MILLION = Decimal(1_000_000)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = ("provider", "model", "unit", "valid_from", "usd_per_unit", "source", "added_at")
_CACHE_UNITS = ("cache_read_tokens", "cache_write_tokens")


@dataclass(frozen=True)
class Rate:
    """One price: US dollars for one unit of a model from an instant on; None says that no price is known from then."""

    provider: str
    model: str
    unit: str
    usd_per_unit: Decimal | None
    valid_from: datetime
    source: str

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What makes it the same rate: names, unit and the instant in Unix microseconds."""
        return self.provider, self.model, self.unit, micros(self.valid_from)


def micros(moment: datetime) -> int:
    """Unix microseconds, exact."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def packaged_rates() -> list[Rate]:
    """The rates of `rates.csv`, cache prices completed."""
    text = (resources.files("taximeter_consumers.pricing") / "rates.csv").read_text(encoding="utf-8")
    return with_cache_rates(read_rates(text.splitlines()))


def read_rates(lines: Iterable[str]) -> list[Rate]:
    """Rates of CSV lines with the header `provider,model,unit,usd_per_million,valid_from,source`."""
    return [
        Rate(
            row["provider"],
            row["model"],
            row["unit"],
            exact(Decimal(row["usd_per_million"]) / _MILLION, COST_SCALE) if row["usd_per_million"] else None,
            datetime.fromisoformat(row["valid_from"]).astimezone(UTC),
            row["source"],
        )
        for row in csv.DictReader(lines)
    ]


def with_cache_rates(rates: Sequence[Rate]) -> list[Rate]:
    """`rates`, and for every input price whose model has no cache price by then, cache prices equal to it."""
    completed = list(rates)
    for rate in rates:
        if rate.unit != "input_tokens":
            continue
        for unit in _CACHE_UNITS:
            has_own = any(
                other.unit == unit
                and (other.provider, other.model) == (rate.provider, rate.model)
                and other.valid_from <= rate.valid_from
                for other in rates
            )
            if not has_own:
                source = f"{rate.source}; no price of its own, so the input price"
                completed.append(replace(rate, unit=unit, source=source))
    return completed


def load_book(clickhouse: ClickHouse) -> int:
    """Appends the packaged rates that are not in the book. Returns how many it added."""
    rows = clickhouse.rows("SELECT provider, model, unit, toUnixTimestamp64Micro(valid_from) FROM rates")
    known = set(rows)
    return append_rates(clickhouse, [rate for rate in packaged_rates() if rate.key not in known])


def append_rates(clickhouse: ClickHouse, rates: Sequence[Rate]) -> int:
    """Appends rates as they are; of two for the same instant the later added one wins. Returns how many."""
    if rates:
        now = _EPOCH + timedelta(microseconds=clickhouse.scalar("SELECT toUnixTimestamp64Micro(now64(6))"))
        clickhouse.insert(
            "stored_rates",
            _COLUMNS,
            [
                (rate.provider, rate.model, rate.unit, rate.valid_from, rate.usd_per_unit, rate.source, now)
                for rate in rates
            ],
        )
    return len(rates)
