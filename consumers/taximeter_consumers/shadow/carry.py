"""Carrying stored batches from one database to its sibling: rows first, then their rows of the ledger.

Repeated, it changes nothing: events collapse by their ids, ledger rows by the batch. A batch that is stored and not yet
in the ledger is carried as well, without a ledger row: whoever stored it will still enter it, here or there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from taximeter_consumers.rollups.batches import Batch
from taximeter_consumers.shadow.database import columns_of
from taximeter_consumers.shadow.tables import EVENTS, LEDGER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_consumers.clickhouse import ClickHouse

Value = TypeVar("Value")

# The server bounds the length of a parameter: 128 KiB.
_AT_ONCE: Final = 2_000

_MISSING: Final = """
SELECT batch_id, toUnixTimestamp64Micro(any(stored_at)), toUnixTimestamp64Milli(any(arrived_at)), any(records)
FROM {source}.stored_ingest_batches
WHERE batch_id NOT IN (SELECT batch_id FROM {target}.stored_ingest_batches)
GROUP BY batch_id ORDER BY batch_id
"""
_ROWS: Final = """
INSERT INTO {target}.{table} ({columns}) SELECT {columns} FROM {source}.{table}
WHERE batch_id NOT IN (SELECT batch_id FROM {target}.stored_ingest_batches)
"""
# Its time is that of now: a tick looks an hour back, and what is carried may be older.
_ENTRIES: Final = """
INSERT INTO {target}.{table} ({columns})
SELECT * REPLACE (now64(6, 'UTC') AS stored_at)
FROM (SELECT {columns} FROM {source}.{table} WHERE batch_id IN {{batch_ids:Array(UInt64)}})
"""
_STRAY: Final = """
SELECT DISTINCT batch_id FROM {source}.stored_events
WHERE batch_id NOT IN (SELECT batch_id FROM {target}.stored_events) ORDER BY batch_id
"""
_STRAY_ROWS: Final = """
INSERT INTO {target}.stored_events ({columns}) SELECT {columns} FROM {source}.stored_events
WHERE batch_id IN {{batch_ids:Array(UInt64)}}
"""
_UNENTERED: Final = """
SELECT DISTINCT batch_id FROM stored_events WHERE batch_id NOT IN (SELECT batch_id FROM stored_ingest_batches)
"""
_ENTERED: Final = """
SELECT batch_id, toUnixTimestamp64Micro(any(stored_at)), toUnixTimestamp64Milli(any(arrived_at)), any(records)
FROM stored_ingest_batches WHERE batch_id IN {batch_ids:Array(UInt64)} GROUP BY batch_id
"""
_SETTINGS: Final = {"insert_deduplicate": 0, "max_partitions_per_insert_block": 0}


def missing(source: ClickHouse, target: ClickHouse) -> list[Batch]:
    """The batches that one ledger has and the other has not."""
    sql = _MISSING.format(source=source.database, target=target.database)
    return [Batch(*row) for row in source.rows(sql)]


def carry(source: ClickHouse, target: ClickHouse) -> list[Batch]:
    """Carries all that the target's ledger has not, and returns the batches that it has now."""
    # Listed first: rows are stored before their batch is entered, so all rows of these are there.
    found = missing(source, target)
    names = {"source": source.database, "target": target.database}
    columns = columns_of(target, EVENTS)
    target.execute(_ROWS.format(table=EVENTS, columns=columns, **names), settings=_SETTINGS)
    columns = columns_of(target, LEDGER)
    ids = [batch.batch_id for batch in found]
    for part in chunks(ids):
        target.execute(_ENTRIES.format(table=LEDGER, columns=columns, **names), {"batch_ids": part}, _SETTINGS)
    return found


def unentered(clickhouse: ClickHouse) -> set[int]:
    """The batches that have rows and are not in the ledger: a sink is between the two, or died there."""
    return {batch_id for (batch_id,) in clickhouse.rows(_UNENTERED)}


def carry_stray(source: ClickHouse, target: ClickHouse) -> list[Batch]:
    """Carries rows of batches of which the target has no row at all, though its ledger may have them: an insert that
    ended in the former table of an exchange. Returns those that are in the target's ledger."""
    names = {"source": source.database, "target": target.database}
    found = [batch_id for (batch_id,) in source.rows(_STRAY.format(**names))]
    stray: list[Batch] = []
    for ids in chunks(found):
        part = {"batch_ids": ids}
        target.execute(_STRAY_ROWS.format(columns=columns_of(target, EVENTS), **names), part, _SETTINGS)
        stray += [Batch(*row) for row in target.rows(_ENTERED, part)]
    return stray


def chunks(values: Sequence[Value], size: int = _AT_ONCE) -> list[list[Value]]:
    """Batches, or what else a parameter lists, in parts that fit into one statement."""
    return [list(values[begin : begin + size]) for begin in range(0, len(values), size)]
