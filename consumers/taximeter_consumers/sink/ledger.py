"""The sink's ledger in ClickHouse: one row for every batch that is stored.

The batches of a partition tile its log, which `taximeter audit --ingest` proves; the aggregator takes from here which
rows are new. A batch that is entered twice (a crash before the commit) has one identity and so one row.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.sink.batch import Batch

_ENTER = """
INSERT INTO stored_ingest_batches (kafka_topic, kafka_log, kafka_partition, first_offset, last_offset, batch_id,
    content_hash, records, stored, dead_lettered, arrived_at, stored_at, sink)
SELECT {topic:String}, {log:String}, partition, first, last, batch_id, content_hash, records, records - bad, bad,
    fromUnixTimestamp64Milli(arrived_ms, 'UTC'), now64(6, 'UTC'), {sink:String}
FROM system.one
ARRAY JOIN {partitions:Array(Int32)} AS partition, {firsts:Array(Int64)} AS first, {lasts:Array(Int64)} AS last,
    {batch_ids:Array(UInt64)} AS batch_id, {content_hashes:Array(String)} AS content_hash,
    {records:Array(UInt64)} AS records, {bad:Array(UInt64)} AS bad, {arrived_ms:Array(Int64)} AS arrived_ms
"""

_STORED_TO = """
SELECT kafka_partition, max(last_offset) FROM stored_ingest_batches
WHERE kafka_topic = {topic:String} AND kafka_log = {log:String} GROUP BY kafka_partition
"""


class Ledger:
    """The ledger of one log: a topic's name, and the identity that Kafka gave it."""

    def __init__(self, clickhouse: ClickHouse, topic: str, log: str) -> None:
        self._clickhouse = clickhouse
        self._log = {"topic": topic, "log": log}
        self._sink = f"{socket.gethostname()}/{os.getpid()}"

    def enter(self, batches: Sequence[Batch], dead_lettered: Sequence[int]) -> None:
        """Enters batches, each with its number of dead letters, in one INSERT. Raises Retryable or Misconfigured."""
        self._clickhouse.execute(
            _ENTER,
            {
                **self._log,
                "sink": self._sink,
                "partitions": [batch.partition for batch in batches],
                "firsts": [batch.first for batch in batches],
                "lasts": [batch.last for batch in batches],
                "batch_ids": [batch.batch_id for batch in batches],
                "content_hashes": [batch.content_hash for batch in batches],
                "records": [len(batch.values) for batch in batches],
                "bad": list(dead_lettered),
                "arrived_ms": [batch.arrived_ms for batch in batches],
            },
        )

    def stored_to(self) -> Mapping[int, int]:
        """The last offset of each partition that has any. Raises Retryable or Misconfigured."""
        rows = self._clickhouse.rows(_STORED_TO, self._log)
        return {int(partition): int(last) for partition, last in rows}
