"""A replay into the tables of ClickHouse themselves: stored as the sink stores, entered in its ledger, rolled up.

Events keep their ids, so what is there already stays as it is, and no total changes; what was lost comes back. A log
that the ledger knows is cut as it says, into the same batches; with a filter those are stored that have a chosen event,
whole, so that the ranges of the ledger go on tiling the log. Of another log a filter lets only chosen events through.
Either may be killed and called again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from taximeter_consumers.replay import bulk
from taximeter_consumers.replay.pace import Meter, Pace
from taximeter_consumers.rollups.batches import Batch, Batches
from taximeter_consumers.rollups.tick import roll_up
from taximeter_schemas import codec
from taximeter_schemas.errors import Poison

if TYPE_CHECKING:
    from taximeter_consumers.archive.message import ReadMessage
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.replay.event_filter import EventFilter
    from taximeter_consumers.replay.source import Source
    from taximeter_consumers.replay.topic_range import Span, TopicRange
    from taximeter_schemas.registry import Registry

_AT_ONCE: Final = 500
_ENTERED: Final = """
SELECT batch_id, toUnixTimestamp64Micro(any(stored_at)), toUnixTimestamp64Milli(any(arrived_at)), any(records)
FROM stored_ingest_batches WHERE batch_id IN {batch_ids:Array(UInt64)}
GROUP BY batch_id ORDER BY 2, 1
"""


class Chosen:
    """A source with a filter in front: only wanted messages come through. `bad` counts those that nobody can decode."""

    def __init__(self, source: Source, wanted: EventFilter, registry: Registry) -> None:
        self._source = source
        self._wanted = wanted
        self._registry = registry
        self.topic = source.topic
        self.partitions = source.partitions
        self.bad = 0

    def close(self) -> None:
        """Lets go of the source."""
        self._source.close()

    def spans(self, wanted: TopicRange) -> list[Span]:
        """Those of the source."""
        return self._source.spans(wanted)

    def batches(self, spans: Sequence[Span]) -> Iterator[Sequence[ReadMessage]]:
        """The wanted messages."""
        for batch in self._source.batches(spans):
            chosen = [message for message in batch if self._is_wanted(message.value())]
            if chosen:
                yield chosen

    def read(self, spans: Sequence[Span]) -> Iterator[ReadMessage]:
        """The same one by one."""
        for batch in self.batches(spans):
            yield from batch

    def has_wanted(self, values: Sequence[bytes | None]) -> bool:
        """Whether any of some Kafka values is a wanted event."""
        return any(map(self._is_wanted, values))

    def _is_wanted(self, value: bytes | None) -> bool:
        try:
            return self._wanted.selects(codec.decode(value, self._registry))
        except Poison:
            self.bad += 1
            return False


@dataclass(frozen=True)
class Wish:
    """Which part of the source, which events of it, and where their schemas are. `settled`: below which offset of each
    partition the sink has settled everything, so that what the ledger lacks there, it has lost."""

    range: TopicRange
    filter: EventFilter
    registry: Registry
    settled: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Conduct:
    """How fast it may be, and who is told how far it is."""

    pace: Pace | None = None
    meter: Meter = lambda _what, _total: nullcontext(lambda _done: None)


def roll_up_stored(
    clickhouse: ClickHouse, batch_ids: Sequence[int], on_progress: Callable[[int], None] = lambda _: None
) -> int:
    """Recomputes what these batches touch, also where a tick had recorded them before: rows may have come back.
    Returns how many messages they have."""
    done = 0
    for begin in range(0, len(batch_ids), _AT_ONCE):
        part = {"batch_ids": list(batch_ids[begin : begin + _AT_ONCE])}
        rows = tuple(Batch(*row) for row in clickhouse.rows(_ENTERED, part))
        if rows:
            roll_up(clickhouse, Batches(rows))
        done += sum(row.records for row in rows)
        on_progress(done)
    return done


def store(source: Source, log: str, wanted: Wish, clickhouse: ClickHouse, conduct: Conduct) -> tuple[bulk.Stored, int]:
    """Stores what is wanted of a source. Returns what was stored, and how many messages nobody can decode were left
    out by the filter. Raises what reading and storing raise; the same call goes on from there."""
    chosen = Chosen(source, wanted.filter, wanted.registry)
    selects_all = wanted.filter.selects_all
    # What the ledger has is stored again, for its rows may be gone.
    target = bulk.Target(clickhouse, wanted.registry, again=True, settled=wanted.settled)
    todo = bulk.plan(source, log, source.spans(wanted.range), clickhouse, target)
    if todo.is_known and not selects_all:
        target = replace(target, only=lambda batch: chosen.has_wanted(batch.values))
    reads = source if todo.is_known or selects_all else chosen
    with conduct.meter("stored", todo.offsets) as told:
        stored = bulk.store(reads, todo, target, told, conduct.pace)
    with conduct.meter("rolled up", stored.records) as told:
        roll_up_stored(clickhouse, stored.batch_ids, told)
    return stored, chosen.bad
