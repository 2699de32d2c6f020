"""A ledger of months: a tick's looks cost what is new in it, and copies of a batch count once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.rollups import rollup_lag_seconds
from taximeter_consumers.rollups.batches import Bounds, batches_after, new_batches, pending_from
from taximeter_consumers.rollups.recompute import _VERSION

pytestmark = pytest.mark.integration

_LONG = 500_000
# A batch of each partition every three seconds, up to now; ids are hashes.
_FILL = """
INSERT INTO stored_ingest_batches (kafka_topic, kafka_log, kafka_partition, first_offset, last_offset, batch_id,
    records, stored, arrived_at, stored_at)
SELECT 't', 'log', number % 12, intDiv(number, 12) * 10, intDiv(number, 12) * 10 + 9, cityHash64(number), 10, 10, at, at
FROM
(
    SELECT number, now64(6) - toIntervalSecond(3 * intDiv({rows:UInt64} - 1 - number, 12)) AS at
    FROM numbers({rows:UInt64})
)
"""
_RECORD = """
INSERT INTO stored_rolled_up_batches (batch_id, stored_at, tick)
SELECT batch_id, stored_at, toUnixTimestamp64Micro(stored_at) FROM stored_ingest_batches
WHERE stored_at < now64(6) - INTERVAL {seconds:UInt32} SECOND
"""


@contextmanager
def _reading(clickhouse: ClickHouse) -> Iterator[list[int]]:
    """How many rows each query of the block reads, in the end."""
    begun = clickhouse.scalar("SELECT toUnixTimestamp64Micro(now64(6))")
    found: list[int] = []
    yield found
    clickhouse.execute("SYSTEM FLUSH LOGS query_log")
    found += [
        int(rows)
        for (rows,) in clickhouse.rows(
            "SELECT read_rows FROM system.query_log WHERE type = 'QueryFinish' AND query_kind = 'Select'"
            " AND current_database = currentDatabase() AND query LIKE '%batches%' AND query NOT LIKE '%query_log%'"
            " AND toUnixTimestamp64Micro(query_start_time_microseconds) >= {begun:Int64}",
            {"begun": begun},
        )
    ]


def test_a_look_reads_what_is_new(clickhouse: ClickHouse) -> None:
    """Of a day and a half it reads the last hour, in granules."""
    clickhouse.execute(_FILL, {"rows": _LONG})
    clickhouse.execute(_RECORD, {"seconds": 10})
    with _reading(clickhouse) as read:
        assert pending_from(clickhouse) is not None
        found = new_batches(clickhouse, Bounds())
        assert rollup_lag_seconds(clickhouse) > 0
        assert clickhouse.scalar(_VERSION) > 0
    assert found is not None
    assert 36 <= len(found.rows) <= 100
    assert len(read) == 4
    # Without the order of time each but the last would read half of the ledger and more.
    assert min(read) < 100
    assert max(read) < _LONG / 3


def test_copies_of_a_batch_are_one(clickhouse: ClickHouse) -> None:
    """A sink that died before its commit has its batch stored again: entered twice, a tick takes it once, at its
    latest time, and so does a rebuild."""
    clickhouse.execute(_FILL, {"rows": 24})
    clickhouse.execute("INSERT INTO stored_ingest_batches SELECT * REPLACE (now64(6) AS stored_at) FROM ingest_batches")
    expected = clickhouse.rows(
        "SELECT batch_id, toUnixTimestamp64Micro(stored_at) FROM ingest_batches ORDER BY stored_at, batch_id"
    )
    for found in (new_batches(clickhouse, Bounds()), batches_after(clickhouse, None, Bounds())):
        assert found is not None
        assert [(batch.batch_id, batch.stored_at) for batch in found.rows] == expected
        assert found.records == 240
    first = batches_after(clickhouse, None, Bounds(batches=7))
    assert first is not None
    rest = batches_after(clickhouse, first.rows[-1], Bounds())
    assert rest is not None
    assert [batch.batch_id for batch in (*first.rows, *rest.rows)] == [batch_id for batch_id, _ in expected]
