"""A migrated database with an empty price book, new for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.rollups.database import with_book

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_schemas.settings import ClickHouseSettings


@pytest.fixture
def clickhouse_settings(migrated_database: ClickHouseSettings) -> ClickHouseSettings:
    """Every test here works in a migrated database."""
    return migrated_database


@pytest.fixture
def clickhouse(clickhouse_settings: ClickHouseSettings) -> Iterator[ClickHouse]:
    """A connection to it."""
    with with_book(clickhouse_settings, rates=()) as connection:
        yield connection
