"""A migrated database with a small price book, and events as a sink leaves them: rows, and a line for each batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.databases import Databases, copy_rows

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.pricing.book import append_rates
from taximeter_consumers.pricing.rate import Rate
from taximeter_consumers.rollups import tick
from taximeter_schemas.settings import ClickHouseSettings
from taximeter_schemas.uuid7 import birth_of, compose

START = datetime(2026, 11, 2, 10, tzinfo=UTC)
_RATES = {"input_tokens": "0.0000025", "output_tokens": "0.00001"}


@dataclass
class Storage:
    """Stores batches in the order in which they are given."""

    clickhouse: ClickHouse
    stored: int = 0
    born: int = 0
    prepared: Prepared | None = None

    def event(self, **fields: Any) -> dict[str, Any]:
        """A call of a model of half a million input and a thousand output tokens; every event gets an id of its own."""
        self.born += 1
        event_id = compose(int(START.timestamp() * 1000) + self.born, self.born.to_bytes(10, "big"))
        usual = {
            "account_id": "acme",
            "user_id": "ada",
            "project_id": "p",
            "workflow_id": "w",
            "run_id": "r1",
            "context": "customer",
            "event_id": event_id,
            "id_time": birth_of(event_id),
            "occurred_at": START + timedelta(minutes=self.born),
            "kind": "node",
            "node_id": "n1",
            "attempt": 1,
            "outcome": "success",
            "executions": 1,
            "provider": "openai",
            "model": "gpt-4o",
            "usage_type": "text",
            "input_tokens": 500_000,
            "output_tokens": 1_000,
            "total_tokens": 501_000,
            "quality": "reported",
        }
        return usual | fields

    def store(
        self,
        events: Sequence[dict[str, Any]],
        *,
        in_ledger: bool = True,
        arrived: datetime = START + timedelta(hours=3),
    ) -> None:
        """One batch of events, which Kafka got at `arrived`."""
        first, batch_id = self.stored + 1, 1_000_000 + self.stored
        for event in events:
            self.stored += 1
            row = event | {
                "kafka_topic": "test",
                "kafka_offset": self.stored,
                "batch_id": batch_id,
                "arrived_at": arrived,
                "version": 2**64 - 1 - self.stored,
            }
            self.clickhouse.insert("stored_events", list(row), [list(row.values())])
        if in_ledger:
            self.clickhouse.execute(
                "INSERT INTO stored_ingest_batches (kafka_topic, first_offset, last_offset, batch_id, records, stored,"
                " arrived_at, stored_at) SELECT 'test', {first:Int64}, {last:Int64}, {batch:UInt64}, {count:UInt64},"
                " {count:UInt64}, fromUnixTimestamp64Milli({arrived:Int64}, 'UTC'), now64(6)",
                {
                    "first": first,
                    "last": self.stored,
                    "batch": batch_id,
                    "count": len(events),
                    "arrived": int(arrived.timestamp() * 1000),
                },
            )

    def fill(self, with_what: Callable[[Storage], None]) -> None:
        """What it does with an empty one; done once, and copied row by row from then on."""
        assert self.prepared is not None
        made = self.prepared.made(with_what)
        copy_rows(made.clickhouse, self.clickhouse)
        self.stored, self.born = made.stored, made.born

    def roll_up(self) -> None:
        """Ticks until nothing is new."""
        while tick(self.clickhouse).version is not None:
            pass

    def mutate(self, table: str, change: str) -> None:
        """Changes rows behind everybody's back, and waits until it is done."""
        self.clickhouse.execute(f"ALTER TABLE {table} {change}", settings={"mutations_sync": 1})


class Prepared:
    """Storages that tests begin with, each filled at its first use; nobody changes them afterwards."""

    def __init__(self, databases: Databases, held: ExitStack) -> None:
        self._databases = databases
        self._held = held
        self._made: dict[Callable[[Storage], None], Storage] = {}

    def made(self, with_what: Callable[[Storage], None]) -> Storage:
        """The one that it has filled."""
        if with_what not in self._made:
            storage = self._held.enter_context(stored(self._held.enter_context(self._databases.borrowed())))
            # Copies stay copies, however long it is used; the next borrower's table is a new one.
            storage.clickhouse.execute("SYSTEM STOP MERGES stored_events")
            with_what(storage)
            self._made[with_what] = storage
        return self._made[with_what]


@contextmanager
def stored(settings: ClickHouseSettings, prepared: Prepared | None = None) -> Iterator[Storage]:
    """In a migrated database, with prices for gpt-4o."""
    clickhouse = connect(settings)
    try:
        rates = [Rate("openai", "gpt-4o", unit, Decimal(price), source="test") for unit, price in _RATES.items()]
        append_rates(clickhouse, rates)
        yield Storage(clickhouse, prepared=prepared)
    finally:
        clickhouse.close()
