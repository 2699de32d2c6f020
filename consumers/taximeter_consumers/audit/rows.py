"""What lies in `stored_events` of the ranges that the ledger names, counted by the engine.

Rows are matched by their coordinates, not by `batch_id`: of two stored copies of one record storage keeps one, whose
batch may be either. A record whose copy came from another offset (a producer that sent it twice, a replay) has no row
under its own coordinates once storage has merged them; such a record is `absent` here, and `reread` tells why.
Offsets are counted as bitmaps, so the memory is a bit for each row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from taximeter_consumers.audit.ledger import Log
from taximeter_consumers.audit.offset_set import OffsetSet
from taximeter_consumers.audit.tiling import Stretch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taximeter_consumers.clickhouse import ClickHouse

_JOINED: Final = """
(
    SELECT kafka_partition, begins_at, ends_at, kafka_offset
    FROM /* source */ AS counted
    ASOF JOIN islands ON counted.kafka_partition = islands.part AND counted.kafka_offset >= islands.begins_at
    WHERE /* log of events */
)
WHERE kafka_offset <= ends_at
"""
_IN_ISLANDS: Final = f"""
SELECT
    part, count(), sum(physical), sum(present),
    groupArrayIf(
        (begins_at, ends_at, members, stored_in_all, stored_at_least, dense, present),
        members > 1 OR present != stored_in_all
    )
FROM islands
LEFT JOIN
(
    SELECT kafka_partition, begins_at, count() AS physical, groupBitmap(toUInt64(kafka_offset)) AS present
    FROM {_JOINED}
    GROUP BY kafka_partition, begins_at
) AS found ON islands.part = found.kafka_partition AND islands.begins_at = found.begins_at
GROUP BY part
"""  # noqa: S608 - our own text
_VISIBLE: Final = f"SELECT kafka_partition, count() FROM {_JOINED} GROUP BY kafka_partition"  # noqa: S608 - the same
_PRESENT: Final = """
SELECT DISTINCT kafka_offset FROM stored_events
WHERE /* log of events */ AND kafka_partition = {partition:Int32}
    AND kafka_offset BETWEEN {first:Int64} AND {last:Int64}
"""
_KNOWN: Final = """
SELECT account_id, toString(event_id) FROM stored_events
WHERE (account_id, id_time, event_id) IN
(
    SELECT account, UUIDv7ToDateTime(toUUID(id), 'UTC'), toUUID(id)
    FROM (SELECT {accounts:Array(String)} AS accounts, {ids:Array(String)} AS ids)
    ARRAY JOIN accounts AS account, ids AS id
)
"""


@dataclass(frozen=True)
class Bounds:
    """Which batches of a partition count: those that reach `begin` and begin before `end`."""

    begin: int
    end: int


@dataclass(frozen=True)
class Island:
    """Batches that overlap, or one alone, whose rows do not make up its `stored`.

    `dense`: every offset of every member holds a record. `present` counts distinct offsets that have a row.
    """

    stretch: Stretch
    members: int
    stored_in_all: int
    stored_at_least: int
    dense: bool
    present: int


@dataclass(frozen=True)
class PartitionRows:
    """The counts of one partition. `visible` are the rows of the view `events`; `islands` those to look at."""

    physical: int = 0
    present: int = 0
    visible: int = 0
    islands: Sequence[Island] = ()


def count_rows(clickhouse: ClickHouse, log: Log, bounds: Mapping[int, Bounds]) -> dict[int, PartitionRows]:
    """All partitions in two scans. Raises Retryable or Misconfigured."""
    parameters = log.parameters | {
        "partitions": list(bounds),
        "begins": [bound.begin for bound in bounds.values()],
        "ends": [bound.end for bound in bounds.values()],
    }
    stored = clickhouse.rows(_sql(_IN_ISLANDS, "stored_events"), parameters)
    visible = dict(clickhouse.rows(_sql(_VISIBLE, "events"), parameters))
    return {
        partition: PartitionRows(physical, present, visible.get(partition, 0), [_island(*row) for row in islands])
        for partition, _, physical, present, islands in stored
    }


def present_offsets(clickhouse: ClickHouse, log: Log, partition: int, stretch: Stretch) -> OffsetSet:
    """The offsets of a stretch under which there is a row. One scan; for stretches of about a million."""
    place = {"partition": partition, "first": stretch.first, "last": stretch.last}
    return OffsetSet(offset for (offset,) in clickhouse.rows(_logged(_PRESENT), log.parameters | place))


def known_events(clickhouse: ClickHouse, events: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of `events` (account, event id in lower case) that are stored, under whatever coordinates."""
    parameters = {"accounts": [account for account, _ in events], "ids": [event for _, event in events]}
    return {(account, event) for account, event in clickhouse.rows(_KNOWN, parameters)}


def _island(*row: int) -> Island:
    first, last, members, in_all, at_least, dense, present = row
    return Island(Stretch(first, last), members, in_all, at_least, bool(dense), present)


@cache
def _sql(statement: str, source: str) -> str:
    islands = resources.files(__package__).joinpath("islands.sql").read_text(encoding="utf-8")
    return _logged(islands + statement.replace("/* source */", source))


def _logged(statement: str) -> str:
    return statement.replace("/* log */", Log.in_ledger).replace("/* log of events */", Log.in_events)
