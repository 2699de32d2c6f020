"""A small price book in a migrated database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.rollups.book import small_book

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.pricing.book import append_rates
from taximeter_consumers.pricing.rate import Rate
from taximeter_schemas.settings import ClickHouseSettings


@contextmanager
def with_book(settings: ClickHouseSettings, rates: Sequence[Rate] | None = None) -> Iterator[ClickHouse]:
    """A connection to the database, which is migrated, with a book in it; `rates` in place of the small book."""
    clickhouse = connect(settings)
    try:
        append_rates(clickhouse, small_book() if rates is None else rates)
        yield clickhouse
    finally:
        clickhouse.close()
