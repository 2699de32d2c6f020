"""A migrated database of the test's own, with the price book in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.pricing import load_book
from taximeter_infra.migrate import migrate, single_server
from taximeter_schemas.settings import ClickHouseSettings


@contextmanager
def migrated(settings: ClickHouseSettings) -> Iterator[ClickHouse]:
    """A connection to it."""
    migrate(settings, single_server())
    clickhouse = connect(settings)
    try:
        load_book(clickhouse)
        yield clickhouse
    finally:
        clickhouse.close()
