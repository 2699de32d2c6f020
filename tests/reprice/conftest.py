"""A migrated database with a small price book, new for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.rollups.database import migrated

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_schemas.settings import ClickHouseSettings


@pytest.fixture
def clickhouse(clickhouse_settings: ClickHouseSettings) -> Iterator[ClickHouse]:
    """A connection to it."""
    with migrated(clickhouse_settings) as connection:
        yield connection
