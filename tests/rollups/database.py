"""A migrated database of the test's own, with a small price book in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.rollups.book import small_book

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.pricing.book import append_rates
from taximeter_consumers.pricing.rate import Rate
from taximeter_infra.migrate import migrate, single_server
from taximeter_schemas.settings import ClickHouseSettings


@contextmanager
def migrated(settings: ClickHouseSettings, rates: Sequence[Rate] | None = None) -> Iterator[ClickHouse]:
    """A connection to it; `rates` in place of the small book."""
    migrate(settings, single_server())
    clickhouse = connect(settings)
    try:
        append_rates(clickhouse, small_book() if rates is None else rates)
        yield clickhouse
    finally:
        clickhouse.close()
