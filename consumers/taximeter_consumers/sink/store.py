"""What happens to a batch: insert, dead letters, ledger, in this order.

The engine notes a token just before the part becomes visible, so a server that is killed in between would drop the
repeated insert and keep nothing. A batch that may have been inserted before is therefore counted afterwards, and
inserted without a token if rows are missing.

On a crash at any point the next owner does all of it again: the insert carries a deduplication token made of the
batch's coordinates and content, so the engine drops what it already has; a dead letter may be written twice, under the
same coordinates; the ledger's row replaces itself. Nothing here waits or retries: Retryable goes up to the writer.
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from taximeter_consumers.sink import sift
from taximeter_consumers.sink.block import BlockWriter
from taximeter_consumers.sink.columns import SchemaColumns
from taximeter_consumers.sink.dead_letters import DeadLetter
from taximeter_schemas import frame
from taximeter_schemas.errors import Poison, Retryable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.sink.batch import Batch
    from taximeter_consumers.sink.dead_letters import DeadLetterWriter
    from taximeter_schemas.registry import Registry

# A batch must become one block, so that it is stored as a whole and recognised as a whole.
_ONE_BLOCK = {
    "max_block_size": 2**22,
    "max_insert_block_size": 2**22,
    "min_insert_block_size_rows": 2**22,
    "min_insert_block_size_bytes": 0,
    "max_threads": 1,
    "max_insert_threads": 1,
    "max_partitions_per_insert_block": 0,
    "optimize_on_insert": 0,
    "async_insert": 0,
    "input_format_avro_allow_missing_fields": 1,
    "input_format_null_as_default": 1,
}

_LEDGER = """
INSERT INTO stored_ingest_batches
SELECT {topic:String}, {partition:Int32}, {first:Int64}, {last:Int64}, {batch_id:UInt64}, {content_hash:String},
    {records:UInt64}, {stored:UInt64}, {dead_lettered:UInt64},
    fromUnixTimestamp64Milli({arrived_ms:Int64}, 'UTC'), now64(6, 'UTC'), {sink:String}
"""


_PRESENT = """
SELECT count() FROM stored_events
WHERE arrived_at = fromUnixTimestamp64Milli({arrived_ms:Int64}, 'UTC') AND batch_id = {batch_id:UInt64}
"""

_log = structlog.get_logger()


@dataclass(frozen=True)
class _Target:
    table: str
    recognise: bool = False


_EVENTS = _Target("stored_events", recognise=True)
_EVENTS_AGAIN = _Target("stored_events")
_TRIAL = _Target("trial_events")


@dataclass(frozen=True)
class Stored:
    """What became of a batch's records."""

    records: int
    dead_lettered: int


@dataclass(frozen=True)
class _Reader:
    columns: SchemaColumns
    blocks: BlockWriter


class Store:
    """Stores batches; may be shared by threads."""

    def __init__(self, clickhouse: ClickHouse, registry: Registry, dead_letters: DeadLetterWriter) -> None:
        self._clickhouse = clickhouse
        self._registry = registry
        self._dead_letters = dead_letters
        self._readers: dict[int, _Reader] = {}
        self._name = f"{socket.gethostname()}/{os.getpid()}"

    def store(self, batch: Batch, attempt: int = 1) -> Stored:
        """Stores a batch for good. Raises Retryable or Misconfigured, never Poison: what is bad is set aside."""
        bad = self._insert_all(batch, _EVENTS)
        if (attempt > 1 or batch.announced_before) and self._lacks_rows(batch, len(batch.values) - len(bad)):
            _log.warning("rows are missing after a repeated insert", partition=batch.partition, first=batch.first)
            bad = self._insert_all(batch, _EVENTS_AGAIN)
        if bad:
            letters = [DeadLetter(batch.messages[index], poison) for index, poison in sorted(bad.items())]
            self._dead_letters.write(letters, attempt)
        self._enter_in_ledger(batch, len(bad))
        return Stored(len(batch.values), len(bad))

    def _lacks_rows(self, batch: Batch, expected: int) -> bool:
        """Whether storage has fewer rows of the batch than were inserted.

        Copies that were merged away count as missing; to insert these once more changes nothing.
        """
        parameters = {"batch_id": batch.batch_id, "arrived_ms": batch.arrived_ms}
        return int(self._clickhouse.scalar(_PRESENT, parameters)) < expected

    def _insert_all(self, batch: Batch, events: _Target) -> Mapping[int, Poison]:
        return {} if self._insert_whole(batch, events) else self._insert_sifted(batch, events)

    def _insert_whole(self, batch: Batch, events: _Target) -> bool:
        """The usual case, without a look at any record: all share the first one's schema, and the engine agrees."""
        try:
            schema_id, _ = frame.split(batch.values[0])
            if None in batch.values:
                return False
            self._insert(events, batch, schema_id, range(len(batch.values)))
        except Poison:
            return False
        return True

    def _insert_sifted(self, batch: Batch, events: _Target) -> Mapping[int, Poison]:
        """Inserts what is good, one block for each schema in order of its id; returns what is bad, and why."""
        sifted = sift.by_schema(batch.values)
        bad = dict(sifted.bad)
        for schema_id, indices in sorted(sifted.groups.items()):
            try:
                self._reader(schema_id)
            except Poison as poison:
                bad.update(dict.fromkeys(indices, poison))
                continue
            bad.update(self._insert_group(batch, events, schema_id, indices))
        return bad

    def _insert_group(
        self, batch: Batch, events: _Target, schema_id: int, indices: Sequence[int]
    ) -> Mapping[int, Poison]:
        def refuses(target: _Target, some: Sequence[int]) -> bool:
            try:
                self._insert(target, batch, schema_id, some)
            except Poison:
                return True
            return False

        bad = sift.unreadable(batch.values, indices, self._registry.schema(schema_id))
        readable = [index for index in indices if index not in bad]
        if not readable or not refuses(events, readable):
            return bad
        # What the trial takes is sound: then the table is in trouble (its disk, a view on it), not the bytes.
        if refuses(_TRIAL, readable):
            for index in sift.refused_ones(readable, partial(refuses, _TRIAL)):
                bad[index] = sift.reason(batch.values[index], self._registry)
        good = [index for index in readable if index not in bad]
        if good and refuses(events, good):
            raise Retryable(
                f"ClickHouse refuses offsets {batch.first} to {batch.last} of partition {batch.partition}, though it"
                " takes the records in a trial; the server's log says what is wrong with stored_events or a view on it"
            )
        return bad

    def _insert(self, target: _Target, batch: Batch, schema_id: int, indices: Sequence[int]) -> None:
        reader = self._reader(schema_id)
        whole = len(indices) == len(batch.values)
        offsets = batch.offsets if whole else [batch.offsets[index] for index in indices]
        chosen = batch.values if whole else [batch.values[index] for index in indices]
        arrivals = batch.arrivals if whole else [batch.arrivals[index] for index in indices]
        values = [value for value in chosen if value is not None]
        settings: dict[str, int | str] = {**_ONE_BLOCK, "insert_deduplicate": int(target.recognise)}
        if target.recognise:
            settings["insert_deduplication_token"] = _token(batch, schema_id, offsets)
        self._clickhouse.execute_with_data(
            reader.columns.insert(target.table),
            reader.blocks.block(offsets, arrivals, values),
            parameters={
                "topic": batch.topic,
                "partition": batch.partition,
                "batch_id": batch.batch_id,
                "arrived_ms": batch.arrived_ms,
            },
            settings=settings,
        )

    def _reader(self, schema_id: int) -> _Reader:
        reader = self._readers.get(schema_id)
        if reader is None:
            writer = self._registry.schema(schema_id)
            if not isinstance(writer, dict):
                raise Poison("unsupported_schema", f"schema {schema_id} is not a record")
            reader = self._readers[schema_id] = _Reader(SchemaColumns(schema_id, writer), BlockWriter(writer))
        return reader

    def _enter_in_ledger(self, batch: Batch, dead_lettered: int) -> None:
        self._clickhouse.execute(
            _LEDGER,
            {
                "topic": batch.topic,
                "partition": batch.partition,
                "first": batch.first,
                "last": batch.last,
                "batch_id": batch.batch_id,
                "content_hash": batch.content_hash,
                "records": len(batch.values),
                "stored": len(batch.values) - dead_lettered,
                "dead_lettered": dead_lettered,
                "arrived_ms": batch.arrived_ms,
                "sink": self._name,
            },
        )


def _token(batch: Batch, schema_id: int, offsets: Sequence[int]) -> str:
    """The deduplication token of a block: the batch, and which of its records are in it.

    The engine drops a block under a token that it has seen, whatever the block holds, so the token says the content.
    """
    chosen = hashlib.blake2b(",".join(map(str, offsets)).encode(), digest_size=16).hexdigest()
    return f"{batch.topic}/{batch.partition}/{batch.first}-{batch.last}/{batch.content_hash}/{schema_id}/{chosen}"
