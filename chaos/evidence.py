"""The evidence of a run: everything that the verdict looks at, as values, gathered once when the faults are over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from chaos.former_logs import all_records, partition_in
from chaos.joining import with_metered
from chaos.journal import Entry, Written
from chaos.meter_journal import Metered, read_metered
from chaos.price_changes import PriceChange
from chaos.quota.evidence import QuotaEvidence, gather_quotas
from chaos.topic_log import Place, Record, read_topic
from chaos.truth import Row, micros
from chaos.world import World
from taximeter_schemas.errors import Retryable

ROLLUPS: Final = (
    "run_costs",
    "node_costs",
    "model_costs",
    "usage_by_subject",
    "charges",
    "quota_usage",
    "transaction_usage",
)


@dataclass(frozen=True)
class Range:
    """One row of the ledger; offsets inclusive."""

    partition: int
    first: int
    last: int
    batch_id: int
    records: int
    stored: int
    dead_lettered: int


@dataclass(frozen=True)
class Copies:
    """Rows as they lie in storage, by batch and in all, and how many places of the log they come from."""

    rows: int = 0
    places: int = 0
    by_batch: Mapping[int, int] = field(default_factory=dict)
    # Merges may have collapsed copies before they were counted.
    merged: bool = False


@dataclass(frozen=True)
class Evidence:
    """What was sent (`written`), what Kafka holds, and what ClickHouse shows."""

    written: Written
    log: Sequence[Record]
    letters: Sequence[Record]
    rows: Sequence[Row]
    sums: Mapping[str, Row]
    ranges: Sequence[Range]
    copies: Copies
    rollups: Mapping[str, Sequence[Row]]
    unrecorded_batches: int = 0
    topic: str = ""
    ends: Mapping[str, int | None] = field(default_factory=dict)
    injected: Sequence[str] = ()
    # How many logs the topic had before; see `chaos.former_logs` for their places.
    former_logs: int = 0
    # The journals of metered executors, which of them were killed, and the files that are left in their spool.
    metered: Sequence[Metered] = ()
    killed: frozenset[str] = frozenset()
    left_in_spool: Sequence[str] = ()
    # Whether the disk of the spool was full for a while, so that events had to be dropped.
    spool_was_full: bool = False
    # What changed in the price book meanwhile, in order.
    price_changes: Sequence[PriceChange] = ()
    # Invoices and their lines, and the billing periods of which everything must be billed.
    invoices: Sequence[Row] = ()
    invoice_lines: Sequence[Row] = ()
    billed: Sequence[str] = ()
    # What was asked of quotas and answered; None where the fault is about something else.
    quotas: QuotaEvidence | None = None

    @property
    def entries(self) -> list[Entry]:
        """All entries of the journal."""
        return list(self.written.entries.values())

    def arrived(self, entry: Entry) -> int:
        """When the broker appended the first record of the batch that an entry was stored with, Unix microseconds: what
        ClickHouse knows of its arrival. 0 where it is in no batch."""
        ack = self.written.acks.get(entry.number)
        return 0 if ack is None else self._arrivals.get((ack.partition, ack.offset), 0) * 1_000

    @cached_property
    def _arrivals(self) -> Mapping[Place, int]:
        begins = {
            (one.partition, offset): one.first for one in self.ranges for offset in range(one.first, one.last + 1)
        }
        of_batch: dict[Place, int] = {}
        for record in sorted(self.log, key=lambda record: record.place):
            of_batch.setdefault((record.partition, begins.get(record.place, record.offset)), record.arrived)
        return {
            record.place: of_batch[record.partition, begins.get(record.place, record.offset)] for record in self.log
        }


def gather(world: World) -> Evidence:
    """Reads journal, topics and tables. Raises Retryable when a server is away."""
    ask = world.clickhouse
    ranges = ask.rows(
        "SELECT kafka_log, kafka_partition, first_offset, last_offset, batch_id, records, stored, dead_lettered"
        " FROM ingest_batches ORDER BY kafka_log, kafka_partition, first_offset, last_offset"
    )
    counted = ask.rows(
        "SELECT count(), uniqExact(kafka_log, kafka_partition, kafka_offset) FROM stored_events"
        " LEFT ANY JOIN (SELECT batch_id, kafka_log FROM ingest_batches) AS batches USING (batch_id)"
    )
    if not counted:
        raise Retryable("ClickHouse gave no answer to a count; its log says why")
    rows, places = counted[0]
    by_batch = ask.rows(
        "SELECT batch_id, uniqExact(kafka_partition, kafka_offset) FROM stored_events GROUP BY batch_id"
    )
    unrecorded = ask.scalar(
        "SELECT count() FROM ingest_batches WHERE batch_id NOT IN (SELECT batch_id FROM stored_rolled_up_batches)"
    )
    log = all_records(read_topic(world.kafka, world.topics.events), world.former_logs)
    metered = [read_metered(path) for path in world.metered]
    return Evidence(
        written=with_metered(world.written(), log, metered),
        log=log,
        letters=read_topic(world.kafka, world.topics.dead_letters),
        rows=[plain(row) for row in ask.records("SELECT * FROM events")],
        sums=_sums(world),
        ranges=[Range(partition_in(log, number, world.former_logs), *found) for log, number, *found in ranges],
        copies=Copies(int(rows), int(places), dict(by_batch), merged=world.merges),
        rollups={name: [plain(row) for row in ask.records(f"SELECT * FROM {name}")] for name in ROLLUPS},
        unrecorded_batches=int(unrecorded),
        topic=world.topics.events,
        ends={f"{at + 1} {one.name}": one.child.exit_code for at, one in enumerate(world.processes) if one.failed},
        injected=tuple(world.injected),
        former_logs=len(world.former_logs),
        metered=metered,
        killed=frozenset(path.stem for path, process in world.metered.items() if process.died),
        left_in_spool=world.in_spool(),
        spool_was_full=world.spool_was_full,
        price_changes=tuple(world.price_changes),
        invoices=ask.records("SELECT * EXCEPT (lines) FROM invoices"),
        invoice_lines=ask.records("SELECT * FROM invoice_lines"),
        billed=tuple(world.billed),
        quotas=gather_quotas(world.kafka, world.topics, world.quotas) if world.quotas.limits else None,
    )


def _sums(world: World) -> dict[str, Row]:
    """Sums by account, as an analyst asks for them."""
    from chaos.truth import SUMMED

    columns = ", ".join(f"toInt128(sum({name})) AS {name}_sum" for name in SUMMED)
    found = world.clickhouse.records(
        "SELECT account_id, count() AS events_sum, sum(reported_cost) AS reported_cost_sum,"
        f" sumMap(custom_units) AS custom_units_sum, {columns} FROM events GROUP BY account_id"
    )
    return {
        str(row["account_id"]): {
            name.removesuffix("_sum"): value for name, value in row.items() if name.endswith("_sum")
        }
        for row in found
    }


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with times as Unix microseconds and ids as text."""
    return {name: _plain(name, value) for name, value in row.items()}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return micros(value)
    return str(value) if name == "event_id" else value
