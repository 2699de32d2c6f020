"""A database with a small price book, new for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.conservation.storage import Prepared, Storage, stored
from tests.databases import Databases

from taximeter_schemas.settings import ClickHouseSettings


@pytest.fixture
def clickhouse_settings(migrated_database: ClickHouseSettings) -> ClickHouseSettings:
    """Every test here works in a migrated database."""
    return migrated_database


@pytest.fixture(scope="module")
def prepared(databases: Databases) -> Iterator[Prepared]:
    """What several tests of a module begin with."""
    with ExitStack() as held:
        yield Prepared(databases, held)


@pytest.fixture
def storage(clickhouse_settings: ClickHouseSettings, prepared: Prepared) -> Iterator[Storage]:
    """It, without any event."""
    with stored(clickhouse_settings, prepared) as storage:
        yield storage
