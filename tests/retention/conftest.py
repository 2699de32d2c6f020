"""A database with events of a year, rolled up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import Result
from tests.conservation.storage import Prepared, Storage, stored
from tests.databases import Databases
from typer.testing import CliRunner

from taximeter_infra.cli.app import app
from taximeter_schemas.settings import ClickHouseSettings
from taximeter_schemas.uuid7 import birth_of, compose

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
Taximeter = Callable[..., Result]


def event(storage: Storage, days_ago: float, **fields: Any) -> dict[str, Any]:
    """One whose id was made when it was used, so many days ago."""
    at = TODAY - timedelta(days=days_ago)
    made = storage.event()
    event_id = compose(int(at.timestamp() * 1000), storage.born.to_bytes(10, "big"))
    return (
        made | {"event_id": event_id, "id_time": birth_of(event_id), "occurred_at": at, "error_message": "e"} | fields
    )


def store(storage: Storage, events: list[dict[str, Any]], arrived: datetime) -> None:
    """One batch, which Kafka got at that time."""
    first, batch_id = storage.stored + 1, 5_000_000 + storage.stored
    for one in events:
        storage.stored += 1
        row = one | {
            "kafka_topic": "test",
            "kafka_offset": storage.stored,
            "batch_id": batch_id,
            "arrived_at": arrived,
            "version": 2**64 - 1 - storage.stored,
        }
        storage.clickhouse.insert("stored_events", list(row), [list(row.values())])
    storage.clickhouse.insert(
        "stored_ingest_batches",
        ["kafka_topic", "first_offset", "last_offset", "batch_id", "records", "stored", "arrived_at", "stored_at"],
        [("test", first, storage.stored, batch_id, len(events), len(events), arrived, datetime.now(UTC))],
    )


def store_as_used(storage: Storage, events: list[dict[str, Any]]) -> None:
    """Each in a batch of its own, which came at once."""
    for one in events:
        store(storage, [one], one["occurred_at"])


def fill(storage: Storage) -> None:
    """Runs of old and of new days, one that reaches over, one of an old day that came today; rolled up."""
    store_as_used(storage, [event(storage, 300 + n, run_id=f"old{n}", transaction_id="t-old") for n in range(3)])
    store_as_used(storage, [event(storage, 150, run_id="over"), event(storage, 50, run_id="over", attempt=2)])
    store_as_used(storage, [event(storage, 50 + n, run_id=f"new{n}") for n in range(2)])
    store(storage, [event(storage, 302, run_id="late")], TODAY)
    storage.roll_up()


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
    """It, filled and rolled up."""
    with stored(clickhouse_settings, prepared) as storage:
        storage.fill(fill)
        yield storage


@pytest.fixture
def taximeter(clickhouse_settings: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch) -> Taximeter:
    """A command of the product on that database."""
    monkeypatch.setenv("CLICKHOUSE_URL", clickhouse_settings.url.get_secret_value())
    monkeypatch.setenv("CLICKHOUSE_DATABASE", clickhouse_settings.database)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])
