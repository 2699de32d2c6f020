"""A migrated database for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_infra.migrate import migrate, single_server
from taximeter_schemas.settings import ClickHouseSettings


@pytest.fixture
def clickhouse(clickhouse_settings: ClickHouseSettings) -> Iterator[ClickHouse]:
    """A connection to it."""
    migrate(clickhouse_settings, single_server())
    connection = connect(clickhouse_settings)
    try:
        yield connection
    finally:
        connection.close()
