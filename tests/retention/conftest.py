"""A database with events of a year, rolled up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.conservation.conftest import clickhouse_settings, prepared
from tests.conservation.storage import Prepared, Storage, stored
from tests.erasure.conftest import at_database, taximeter

from taximeter_schemas.settings import ClickHouseSettings
from taximeter_schemas.uuid7 import birth_of, compose

__all__ = ["at_database", "clickhouse_settings", "prepared", "taximeter"]  # fixtures of other folders
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def event(storage: Storage, days_ago: float, **fields: Any) -> dict[str, Any]:
    """One whose id was made when it was used, so many days ago."""
    at = TODAY - timedelta(days=days_ago)
    made = storage.event()
    event_id = compose(int(at.timestamp() * 1000), storage.born.to_bytes(10, "big"))
    return (
        made | {"event_id": event_id, "id_time": birth_of(event_id), "occurred_at": at, "error_message": "e"} | fields
    )


def store_as_used(storage: Storage, events: list[dict[str, Any]]) -> None:
    """Each in a batch of its own, which came at once."""
    for one in events:
        storage.store([one], arrived=one["occurred_at"])


def fill(storage: Storage) -> None:
    """Runs of old and of new days, one that reaches over, one of an old day that came today; rolled up."""
    store_as_used(storage, [event(storage, 300 + n, run_id=f"old{n}", transaction_id="t-old") for n in range(3)])
    store_as_used(storage, [event(storage, 150, run_id="over"), event(storage, 50, run_id="over", attempt=2)])
    store_as_used(storage, [event(storage, 50 + n, run_id=f"new{n}") for n in range(2)])
    storage.store([event(storage, 302, run_id="late")], arrived=TODAY)
    storage.roll_up()


@pytest.fixture
def storage(clickhouse_settings: ClickHouseSettings, prepared: Prepared) -> Iterator[Storage]:
    """It, filled and rolled up."""
    with stored(clickhouse_settings, prepared) as storage:
        storage.fill(fill)
        yield storage
