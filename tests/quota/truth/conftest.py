"""A migrated database with a small price book and the shipped plans, new for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.quota.truth.world import World, opened

from taximeter_schemas.settings import ClickHouseSettings


@pytest.fixture
def world(migrated_database: ClickHouseSettings) -> Iterator[World]:
    """It, without events and assignments."""
    with opened(migrated_database) as world:
        yield world
