"""A database with a small price book, new for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.conservation.storage import Storage, stored

from taximeter_schemas.settings import ClickHouseSettings


@pytest.fixture
def clickhouse_settings(migrated_database: ClickHouseSettings) -> ClickHouseSettings:
    """Every test here works in a migrated database."""
    return migrated_database


@pytest.fixture
def storage(clickhouse_settings: ClickHouseSettings) -> Iterator[Storage]:
    """It, without any event."""
    with stored(clickhouse_settings) as storage:
        yield storage
