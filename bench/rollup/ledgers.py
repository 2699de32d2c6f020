"""What a tick asks of the sink's ledger before it knows what to do, timed over ledgers of any length."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_consumers.rollups import rollup_lag_seconds
from taximeter_consumers.rollups.batches import Bounds, new_batches, pending_from
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

NEW: Final = 100
"""So many batches no tick has recorded."""

_PARTITIONS: Final = 12
# As fast as one sink of twelve partitions stores them, up to now. Ids are hashes, as those of batches are.
_FILL: Final = f"""
INSERT INTO stored_ingest_batches (kafka_topic, kafka_log, kafka_partition, first_offset, last_offset, batch_id,
    content_hash, records, stored, arrived_at, stored_at, sink)
SELECT 'bench', 'log', number % {_PARTITIONS}, place * 100, place * 100 + 99, cityHash64(number),
    hex(MD5(toString(number))), 100, 100, at, at, 'bench'
FROM
(
    SELECT number, intDiv(number, {_PARTITIONS}) AS place,
        now64(6) - toIntervalMicrosecond(intDiv({{rows:UInt64}} - 1 - number, {_PARTITIONS}) * 210000) AS at
    FROM numbers({{rows:UInt64}})
)
"""
_RECORD: Final = """
INSERT INTO stored_rolled_up_batches (batch_id, stored_at, tick)
SELECT batch_id, stored_at, toUnixTimestamp64Micro(stored_at) FROM stored_ingest_batches
WHERE batch_id NOT IN (SELECT batch_id FROM stored_ingest_batches ORDER BY stored_at DESC, batch_id LIMIT {new:UInt32})
"""


@dataclass(frozen=True)
class Looker:
    """Looks at one ledger."""

    clickhouse: ClickHouse

    def look(self) -> float:
        """The milliseconds of a tick's looks: where the first waiting batch begins, which wait, and for how long.
        Raises Retryable where it found something else than there is."""
        began = time.perf_counter()
        since, found = pending_from(self.clickhouse), new_batches(self.clickhouse, Bounds())
        lag = rollup_lag_seconds(self.clickhouse)
        taken = (time.perf_counter() - began) * 1000
        if since is None or found is None or len(found.rows) != NEW or lag <= 0:
            raise Retryable(f"the looks found {0 if found is None else len(found.rows)} batches, not {NEW}")
        return taken


def fill(clickhouse: ClickHouse, batches: int) -> Looker:
    """Enters so many batches, of which all but the last are recorded, and merges them as a server does in time."""
    clickhouse.execute(_FILL, {"rows": batches})
    clickhouse.execute(_RECORD, {"new": NEW})
    for table in ("stored_ingest_batches", "stored_rolled_up_batches"):
        clickhouse.execute(f"OPTIMIZE TABLE {table} FINAL")
    return Looker(clickhouse)
