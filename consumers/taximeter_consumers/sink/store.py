"""What happens to a bundle: one INSERT of all its batches, then dead letters and the ledger.

The INSERT carries a deduplication token made of the bundle's coordinates and content, so of a repeated one the engine
drops what it already has. It notes a token just before the part becomes visible, so a server that is killed in between
would drop the repeated insert and keep nothing. A bundle that may have been inserted before is therefore counted
afterwards, and inserted without a token if rows are missing. A piece of a bundle that was torn between sinks has a
token of its own, so it is counted first.

On a crash at any point the next owner does all of it again: a dead letter may be written twice, under the same
coordinates; the ledger's row replaces itself. Nothing here waits or retries: Retryable goes up to the writer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

import structlog

from taximeter_consumers import failpoints
from taximeter_consumers.sink import sift
from taximeter_consumers.sink.block import BlockWriter, Stretch
from taximeter_consumers.sink.columns import SchemaColumns
from taximeter_consumers.sink.dead_letters import DeadLetter
from taximeter_consumers.sink.guards import REASONS
from taximeter_consumers.sink.parts import PartsMade
from taximeter_consumers.sink.walk import Walk, walk_of
from taximeter_schemas import frame
from taximeter_schemas.errors import Poison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.sink.batch import Batch
    from taximeter_consumers.sink.bundle import Bundle
    from taximeter_consumers.sink.ledger import Ledger
    from taximeter_schemas.registry import Registry

# A bundle must become one block, so that it is stored as a whole and recognised as a whole.
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

_PRESENT = """
SELECT uniqExact(batch_id, kafka_offset) FROM stored_events
WHERE arrived_at IN arrayMap(at -> fromUnixTimestamp64Milli(at, 'UTC'), {arrived_ms:Array(Int64)})
    AND batch_id IN {batch_ids:Array(UInt64)}
"""

_log = structlog.get_logger()

# The bad records of a batch, by their places in it.
Bad = Mapping[int, Poison]


@dataclass(frozen=True)
class _Target:
    table: str
    recognise: bool = False


_EVENTS = _Target("stored_events", recognise=True)
_EVENTS_AGAIN = _Target("stored_events")
_TRIAL = _Target("trial_events")


@dataclass(frozen=True)
class _Reader:
    columns: SchemaColumns
    blocks: BlockWriter
    walk: Walk


class DeadLetters(Protocol):
    """Where bad records go: `DeadLetterWriter`, or nowhere in a replay, whose bad records are dead letters already."""

    def write(self, letters: Sequence[DeadLetter], attempts: int, /) -> None:
        """Returns when all are kept. Raises Retryable."""


class Store:
    """Stores bundles; may be shared by threads. Without `recognise` the engine drops nothing that it has seen: for
    repeats that are to be stored again, as after rows were lost."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        registry: Registry,
        dead_letters: DeadLetters,
        ledger: Ledger,
        *,
        recognise: bool = True,
    ) -> None:
        self._events = _EVENTS if recognise else _EVENTS_AGAIN
        self._clickhouse = clickhouse
        self._registry = registry
        self._dead_letters = dead_letters
        self._ledger = ledger
        self.parts = PartsMade(clickhouse)
        self._readers: dict[int, _Reader] = {}
        # What was found in a partition last time, so that the next bundle is not sent in vain.
        self._suspects: dict[tuple[str, int], frozenset[sift.Step]] = {}
        self._mixed: frozenset[tuple[str, int]] = frozenset()

    def insert(self, bundle: Bundle, attempt: int = 1) -> Mapping[Batch, Bad]:
        """Stores what is good of a bundle for good, and returns what is bad of each batch that has any.

        Raises Retryable or Misconfigured, never Poison."""
        self.parts.began()
        if bundle.torn:
            bad = self._insert_all(bundle, _TRIAL)
            if not self._lacks_rows(bundle, bad):
                return _by_batch(bundle, bad)
        bad = self._insert_all(bundle, self._events)
        if (attempt > 1 or bundle.announced_before) and self._lacks_rows(bundle, bad):
            _log.warning("rows are missing after a repeated insert", slices=str(bundle))
            bad = self._insert_all(bundle, _EVENTS_AGAIN)
        failpoints.reached("sink.after_insert")
        return _by_batch(bundle, bad)

    def tried(self, bundle: Bundle) -> Mapping[int, Poison]:
        """What `insert` would find bad of a bundle, by index; nothing is stored. Raises Retryable or Misconfigured."""
        return self._insert_all(bundle, _TRIAL)

    def settle(self, batches: Sequence[Batch], bad: Mapping[Batch, Bad], attempt: int = 1) -> None:
        """Writes the dead letters of inserted batches, then their rows of the ledger. Raises Retryable."""
        letters = [
            DeadLetter(batch.messages[place], poison)
            for batch in batches
            for place, poison in sorted(bad.get(batch, {}).items())
        ]
        if letters:
            self._dead_letters.write(letters, attempt)
        failpoints.reached("sink.after_dead_letters")
        self._ledger.enter(batches, [len(bad.get(batch, {})) for batch in batches])
        failpoints.reached("sink.after_ledger")
        self.parts.entered()
        self.parts.look()

    def _lacks_rows(self, bundle: Bundle, bad: Mapping[int, Poison]) -> bool:
        """Whether storage has fewer records of the bundle than were inserted; one that lies there twice counts once.

        Copies that were merged away count as missing; to insert these once more changes nothing.
        """
        present = int(self._clickhouse.scalar(_PRESENT, _identities(bundle)))
        return present < bundle.records - len(bad)

    def _insert_all(self, bundle: Bundle, events: _Target) -> Mapping[int, Poison]:
        places = {(batch.topic, batch.partition) for batch in bundle.batches}
        suspects = frozenset(step for place in places for step in self._suspects.get(place, ()))
        # The usual case, without a look at any record: all are of one schema and good. Not where it was not so lately.
        asked = not suspects and not self._mixed & places
        if asked and self._insert_whole(bundle, events):
            return {}
        bad, found = self._insert_sifted(bundle, events, suspects, asked=asked)
        self._suspects.update(dict.fromkeys(places, found))
        return bad

    def _insert_whole(self, bundle: Bundle, events: _Target) -> bool:
        try:
            if not all(batch.whole for batch in bundle.batches):
                return False
            schema_id, _ = frame.split(bundle.batches[0].values[0])
            self._insert(events, bundle, schema_id, None)
        except Poison:
            return False
        return True

    def _insert_sifted(
        self, bundle: Bundle, events: _Target, suspects: frozenset[sift.Step], *, asked: bool
    ) -> tuple[Mapping[int, Poison], frozenset[sift.Step]]:
        """Inserts what is good, one block for each schema in order of its id; returns what is bad and what found it."""
        sifted = sift.by_schema(bundle.values)
        places = {(batch.topic, batch.partition) for batch in bundle.batches}
        mixed = len(sifted.groups) + bool(sifted.bad) > 1
        self._mixed = self._mixed | places if mixed else self._mixed - places
        bad: dict[int, Poison] = dict(sifted.bad)
        found: frozenset[sift.Step] = frozenset()
        for schema_id, indices in sorted(sifted.groups.items()):
            try:
                reader = self._reader(schema_id)
            except Poison as poison:
                bad.update(dict.fromkeys(indices, poison))
                continue
            group = sift.Group(bundle.values, indices, reader.walk)
            outcome = sift.store_good(
                group, self._engine(bundle, events, schema_id), suspects, refused=asked and not mixed
            )
            bad.update(outcome.bad)
            found |= outcome.suspects
        return bad, found

    def _engine(self, bundle: Bundle, events: _Target, schema_id: int) -> sift.Engine:
        return sift.Engine(
            store=partial(self._insert, events, bundle, schema_id),
            trial=partial(self._insert, _TRIAL, bundle, schema_id),
            judge=partial(self._judge, bundle, schema_id),
            reason=lambda index: sift.reason(bundle.values[index], self._registry),
        )

    def _judge(self, bundle: Bundle, schema_id: int, indices: Sequence[int]) -> Mapping[int, Poison]:
        reader = self._reader(schema_id)
        sql, structure = reader.columns.judgement
        block = reader.blocks.block(_stretches(bundle, indices))
        rows = self._clickhouse.rows_of_data(sql, "records", structure, block, settings=_ONE_BLOCK)
        return {indices[place]: Poison(reason, REASONS[reason]) for place, reason in rows}

    def _insert(self, target: _Target, bundle: Bundle, schema_id: int, indices: Sequence[int] | None) -> None:
        """One INSERT of all records, or of those at `indices` (ascending), which share a schema. Raises Poison."""
        reader = self._reader(schema_id)
        if indices is not None and len(indices) == bundle.records:
            # The same content has the same token, whichever way led here.
            indices = None
        settings: dict[str, int | str] = {**_ONE_BLOCK, "insert_deduplicate": int(target.recognise)}
        if target.recognise:
            settings["insert_deduplication_token"] = bundle.token(schema_id, indices)
        self._clickhouse.execute_with_data(
            reader.columns.insert(target.table),
            reader.blocks.block(_stretches(bundle, indices)),
            parameters={
                "topic": bundle.batches[0].topic,
                "partitions": [batch.partition for batch in bundle.batches],
                **_identities(bundle),
            },
            settings=settings,
        )
        if target is not _TRIAL:
            self.parts.inserted()

    def _reader(self, schema_id: int) -> _Reader:
        reader = self._readers.get(schema_id)
        if reader is None:
            writer = self._registry.schema(schema_id)
            if not isinstance(writer, dict):
                raise Poison("unsupported_schema", f"schema {schema_id} is not a record")
            reader = self._readers[schema_id] = _Reader(
                # The walk first: a type that contains itself ends there.
                walk=walk_of(writer, schema_id),
                columns=SchemaColumns(schema_id, writer),
                blocks=BlockWriter(writer),
            )
        return reader


def _identities(bundle: Bundle) -> dict[str, list[int]]:
    """What finds the batches' rows, as arrays for the server."""
    return {
        "batch_ids": [batch.batch_id for batch in bundle.batches],
        "arrived_ms": [batch.arrived_ms for batch in bundle.batches],
    }


def _stretches(bundle: Bundle, indices: Sequence[int] | None) -> list[Stretch]:
    """The records of a block by partition: those at `indices` of the bundle's values (ascending), or all."""
    stretches, begin = [], 0
    chosen = None if indices is None else set(indices)
    for number, batch in enumerate(bundle.batches, start=1):
        end = begin + len(batch.values)
        taken = [] if chosen is None else [index - begin for index in range(begin, end) if index in chosen]
        begin = end
        if chosen is None or len(taken) == len(batch.values):
            stretches.append(Stretch(number, batch.offsets, batch.arrivals, cast("Sequence[bytes]", batch.values)))
        elif taken:
            offsets, arrivals, values = batch.offsets, batch.arrivals, batch.values
            stretches.append(
                Stretch(
                    number,
                    [offsets[at] for at in taken],
                    [arrivals[at] for at in taken],
                    [values[at] or b"" for at in taken],
                )
            )
    return stretches


def _by_batch(bundle: Bundle, bad: Mapping[int, Poison]) -> Mapping[Batch, Bad]:
    found: dict[Batch, dict[int, Poison]] = {}
    for index, poison in bad.items():
        batch, record = bundle.place(index)
        found.setdefault(bundle.batches[batch], {})[record] = poison
    return found
