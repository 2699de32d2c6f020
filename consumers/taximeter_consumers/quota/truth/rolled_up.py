"""The ledger's side of completeness: up to which offset of each partition of the events the rollups have everything.

Read before use is read, it says: whatever Kafka had before those offsets is in that use. A hole in what is rolled up
stops it: a batch that waits for its tick, or one that a sink has yet to enter. A hole that stays (records that were
lost, which `taximeter audit --ingest` names) stops it for a day; then it goes on, for nothing will fill that hole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_consumers.sink.settings import MOST_ROWS_OF_A_BUNDLE

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

_PATIENCE_HOURS: Final = 24
# So many batches of a partition are gone through in one look.
_PAGE: Final = 5_000
_OF_LOG: Final = "kafka_topic = {topic:String} AND kafka_log = {log:String}"
# Where to begin: what is older than the patience is taken to be complete.
_BEGIN: Final = f"""
SELECT kafka_partition,
    if(
        countIf(is_new) > 0,
        minIf(first_offset, is_new),
        max(last_offset) + 1
    )
FROM
(
    SELECT kafka_partition, first_offset, last_offset, stored_at > now() - INTERVAL {{hours:UInt32}} HOUR AS is_new
    FROM stored_ingest_batches WHERE {_OF_LOG}
)
GROUP BY kafka_partition
"""  # noqa: S608 - our own text
# `places` are ranges of the primary key, so a look reads what is new and not the whole ledger.
_BATCHES: Final = """
WITH waiting AS
(
    SELECT kafka_partition, first_offset, last_offset, batch_id, stored_at
    FROM stored_ingest_batches
    WHERE {log} AND ({places}) AND stored_at > now() - INTERVAL 2 * {{hours:UInt32}} HOUR
      AND last_offset >= transform(
          kafka_partition, {{partitions:Array(Int32)}}, {{offsets:Array(Int64)}}, toInt64(-1)
      )
)
SELECT kafka_partition, first_offset, last_offset,
    batch_id IN (
        SELECT batch_id FROM stored_rolled_up_batches
        WHERE stored_at > now() - INTERVAL 3 * {{hours:UInt32}} HOUR AND batch_id IN (SELECT batch_id FROM waiting)
    ),
    stored_at < now() - INTERVAL {{hours:UInt32}} HOUR
FROM waiting
ORDER BY kafka_partition, first_offset, last_offset
LIMIT {{page:UInt32}} BY kafka_partition
"""


@dataclass(frozen=True)
class Stretch:
    """A row of the ledger: offsets, the last one included; whether a tick has it, and whether it is older than the
    patience with holes."""

    first: int
    last: int
    is_rolled_up: bool
    is_old: bool


def advanced(offset: int, stretches: Iterable[Stretch]) -> int:
    """How far from `offset` on everything is rolled up, by the ledger's rows in their order. Pure."""
    ordered = sorted(stretches, key=lambda stretch: (stretch.first, stretch.last))
    # A range may be there twice, cut otherwise after a crash: what either has rolled up, is.
    for stretch in ordered:
        if stretch.first > offset and not stretch.is_old:
            break
        if stretch.is_rolled_up:
            offset = max(offset, stretch.last + 1)
    return offset


def new_batches_sql(offsets: Mapping[int, int]) -> str:
    """The query for rows of the ledger that reach beyond these offsets, by partition; of other partitions all rows."""
    places = [
        f"(kafka_partition = {partition} AND first_offset >= {offset - MOST_ROWS_OF_A_BUNDLE})"
        for partition, offset in sorted(offsets.items())
    ]
    others = f"kafka_partition NOT IN ({', '.join(map(str, sorted(offsets)))})" if offsets else "true"
    return _BATCHES.format(log=_OF_LOG, places=" OR ".join([*places, others]))


class RolledUp:
    """Looks again and again; each look costs what is new in the ledger. `identity`: that of the log, '' if none."""

    def __init__(self, clickhouse: ClickHouse, topic: str, identity: str = "") -> None:
        self._clickhouse = clickhouse
        self._log = {"topic": topic, "log": identity, "hours": _PATIENCE_HOURS}
        self._offsets: dict[int, int] = {}

    def offsets(self) -> Mapping[int, int]:
        """By partition, the offset up to which (exclusive) every record is in the rollups. A partition that is not
        named has nothing in the ledger. Raises Retryable."""
        if not self._offsets:
            self._begin()
        known = {"partitions": list(self._offsets) or [-1], "offsets": list(self._offsets.values()) or [-1]}
        found: defaultdict[int, list[Stretch]] = defaultdict(list)
        for partition, *stretch in self._clickhouse.rows(
            new_batches_sql(self._offsets), {**self._log, **known, "page": _PAGE}
        ):
            found[partition].append(Stretch(stretch[0], stretch[1], bool(stretch[2]), bool(stretch[3])))
        if found.keys() - self._offsets.keys():
            self._begin()
        for partition, stretches in found.items():
            self._offsets[partition] = advanced(self._offsets.get(partition, 0), stretches)
        return dict(self._offsets)

    def _begin(self) -> None:
        begin = {int(partition): int(offset) for partition, offset in self._clickhouse.rows(_BEGIN, self._log)}
        self._offsets = begin | self._offsets


class Barriers:
    """Pure: at some instants the ends of the topic are noted; an instant is reached when the rollups are past them."""

    def __init__(self, most: int = 1_000) -> None:
        self._most = most
        self._noted: list[tuple[int, dict[int, int]]] = []
        self._reached = 0

    def note(self, at_us: int, ends: Mapping[int, int]) -> None:
        """At `at_us` (Unix microseconds; taken before the ends were asked for) partition -> end offset (the next).

        Of more instants than are kept every second one is forgotten, which makes the answer coarser and never wrong."""
        self._noted.append((at_us, dict(ends)))
        if len(self._noted) > self._most:
            self._noted = self._noted[::2]

    def complete_until(self, rolled_up: Mapping[int, int]) -> int:
        """The latest instant that was noted and is reached; 0: none yet. Never goes back."""
        for place in range(len(self._noted) - 1, -1, -1):
            at_us, ends = self._noted[place]
            if all(end == 0 or rolled_up.get(partition, 0) >= end for partition, end in ends.items()):
                self._reached = max(self._reached, at_us)
                self._noted = self._noted[place + 1 :]
                break
        return self._reached
