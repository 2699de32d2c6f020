"""The ledger's rows, a page at a time, in the order of the log. Read-only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.audit.tiling import Entry
from taximeter_consumers.retention.horizon import kept_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taximeter_consumers.clickhouse import ClickHouse

PAGE: Final = 50_000
_TOPIC: Final = "kafka_topic = {topic:String}"


@dataclass(frozen=True)
class Log:
    """Which log an audit is about. `identity` is what Kafka gave the topic when it was created; empty: it gives none.

    Rows are of a log if their batch is: coordinates alone are those of every log that the topic's name stood for.
    """

    topic: str
    identity: str = ""

    # What picks this log out of `ingest_batches`, and out of `stored_events`.
    in_ledger = f"{_TOPIC} AND kafka_log = {{log:String}}"
    in_events = f"{_TOPIC} AND batch_id IN (SELECT batch_id FROM ingest_batches WHERE {in_ledger})"  # noqa: S608 - ours

    @property
    def parameters(self) -> dict[str, Any]:
        """The values of the conditions."""
        return {"topic": self.topic, "log": self.identity}


_PAGE_OF_LEDGER = f"""
SELECT first_offset, last_offset, batch_id, content_hash, records, stored, dead_lettered,
    toUnixTimestamp64Milli(arrived_at)
FROM ingest_batches
WHERE {Log.in_ledger} AND kafka_partition = {{partition:Int32}} AND first_offset >= {{first:Int64}}
    AND (first_offset, last_offset, batch_id) > ({{first:Int64}}, {{last:Int64}}, {{batch_id:UInt64}})
ORDER BY first_offset, last_offset, batch_id
LIMIT {{page:UInt32}}
"""  # noqa: S608 - our own condition

_PARTITIONS = f"SELECT DISTINCT kafka_partition FROM ingest_batches WHERE {Log.in_ledger}"  # noqa: S608 - the same

_FROZEN = f"""
SELECT kafka_partition, max(last_offset) + 1 FROM ingest_batches
WHERE {Log.in_ledger} AND arrived_at < fromUnixTimestamp64Micro({{kept_from:Int64}}, 'UTC') GROUP BY kafka_partition
"""  # noqa: S608 - the same

_OTHERS = """
SELECT uniqExact(kafka_log), count() FROM ingest_batches
WHERE kafka_topic = {topic:String} AND kafka_log != {log:String}
"""


def others(clickhouse: ClickHouse, log: Log) -> tuple[int, int]:
    """How many other logs the topic's name stood for before, and how many batches the ledger has of them."""
    logs, batches = clickhouse.rows(_OTHERS, log.parameters)[0]
    return int(logs), int(batches)


def frozen(clickhouse: ClickHouse, log: Log) -> dict[int, int]:
    """Before which offset rows may be deleted, by partition; none where retention has deleted nothing."""
    horizon = kept_from(clickhouse)
    return dict(clickhouse.rows(_FROZEN, log.parameters | {"kept_from": horizon})) if horizon else {}


def partitions(clickhouse: ClickHouse, log: Log) -> frozenset[int]:
    """The partitions that the ledger knows. Raises Retryable or Misconfigured."""
    return frozenset(number for (number,) in clickhouse.rows(_PARTITIONS, log.parameters))


def entries(clickhouse: ClickHouse, log: Log, partition: int) -> Iterator[Entry]:
    """The batches of a partition by first offset, last offset and id; memory holds one page."""
    first, last, batch_id = -1, -1, 0
    while True:
        place = {"partition": partition, "first": first, "last": last, "batch_id": batch_id, "page": PAGE}
        page = clickhouse.rows(_PAGE_OF_LEDGER, log.parameters | place)
        for row in page:
            yield Entry(*row)
        if len(page) < PAGE:
            return
        first, last, batch_id = page[-1][:3]
