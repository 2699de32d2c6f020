"""A migrated database for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_schemas.settings import ClickHouseSettings


@pytest.fixture
def clickhouse_settings(migrated_database: ClickHouseSettings) -> ClickHouseSettings:
    """Every test here works in a migrated database."""
    return migrated_database


@pytest.fixture
def clickhouse(clickhouse_settings: ClickHouseSettings) -> Iterator[ClickHouse]:
    """A connection to it."""
    connection = connect(clickhouse_settings)
    try:
        yield connection
    finally:
        connection.close()
