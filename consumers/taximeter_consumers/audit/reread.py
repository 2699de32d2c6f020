"""Records looked at once more where counts cannot tell: is each stored, stored under other coordinates, dead, or lost?

Reads the log and asks ClickHouse; holds one batch of messages and one bit for each offset of a window. What cannot be
decoded and is neither stored nor dead-lettered is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from taximeter_consumers.audit.balance import Reread
from taximeter_consumers.audit.rows import known_events, present_offsets
from taximeter_consumers.audit.tiling import Stretch
from taximeter_consumers.replay.topic_range import Span
from taximeter_schemas import codec, frame
from taximeter_schemas.errors import Poison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from confluent_kafka import Message

    from taximeter_consumers.audit.ledger import Log
    from taximeter_consumers.audit.offset_set import OffsetSet
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.replay.topic_reader import TopicReader
    from taximeter_schemas.registry import Registry

_WINDOW = 1 << 20
_ASKED_AT_ONCE = 500
# To read on over so many offsets is quicker than to begin anew behind them.
_NEAR = 20_000
MOST_LOST_NAMED = 20


@dataclass(frozen=True)
class Sources:
    """What a record is held against: the table, the schemas, the dead letters of its partition."""

    clickhouse: ClickHouse
    log: Log
    registry: Registry
    letters: OffsetSet


@dataclass
class _Tally:
    records: int = 0
    stored: int = 0
    dead: int = 0
    elsewhere: int = 0
    lost: int = 0
    lost_at: list[int] = field(default_factory=list)

    def lose(self, offset: int) -> None:
        self.lost += 1
        if len(self.lost_at) < MOST_LOST_NAMED:
            self.lost_at.append(offset)


@dataclass(frozen=True)
class _Absent:
    place: Stretch
    offset: int
    event: tuple[str, str]


class Judge:
    """Takes records of one partition in rising order and sums up what became of them, for each place apart."""

    def __init__(self, sources: Sources, partition: int) -> None:
        self._sources = sources
        self._partition = partition
        self._window = Stretch(-1, -1)
        self._present: OffsetSet | None = None
        self._tallies: dict[Stretch, _Tally] = {}
        self._asked: list[_Absent] = []

    def take(self, message: Message, place: Stretch) -> None:
        """Judges one record, which counts for `place`."""
        offset = message.offset()
        if offset is None:  # pragma: no cover - only librdkafka's error events have none
            return
        tally = self._tallies.setdefault(place, _Tally())
        tally.records += 1
        if offset in self._window_of(offset):
            tally.stored += 1
        elif offset in self._sources.letters:
            tally.dead += 1
        else:
            event = event_of(message, self._sources.registry)
            if event is None:
                tally.lose(offset)
                return
            self._asked.append(_Absent(place, offset, event))
            if len(self._asked) >= _ASKED_AT_ONCE:
                self._ask()

    def results(self) -> dict[Stretch, Reread]:
        """What became of the records of each place that had any."""
        self._ask()
        return {
            place: Reread(tally.records, tally.stored, tally.dead, tally.elsewhere, tally.lost, tuple(tally.lost_at))
            for place, tally in self._tallies.items()
        }

    def _window_of(self, offset: int) -> OffsetSet:
        if self._present is None or not self._window.first <= offset <= self._window.last:
            self._window = Stretch(offset, offset + _WINDOW - 1)
            self._present = present_offsets(self._sources.clickhouse, self._sources.log, self._partition, self._window)
        return self._present

    def _ask(self) -> None:
        if not self._asked:
            return
        known = known_events(self._sources.clickhouse, [absent.event for absent in self._asked])
        for absent in self._asked:
            tally = self._tallies[absent.place]
            if absent.event in known:
                tally.elsewhere += 1
            else:
                tally.lose(absent.offset)
        self._asked = []


def event_of(message: Message, registry: Registry) -> tuple[str, str] | None:
    """Account and event id of a record; None where it cannot be read. Raises Retryable when the registry is away."""
    try:
        schema_id, body = frame.split(message.value())
        values = codec.read_body(body, registry.schema(schema_id))
        return str(values["account_id"]), str(UUID(str(values["event_id"])))
    except (Poison, KeyError, ValueError):
        return None


def reread(
    reader: TopicReader, partition: int, stretches: Sequence[Stretch], judge: Judge, on_read: Callable[[int], None]
) -> None:
    """Hands every record of `stretches` (in order, apart from each other) to the judge, under its stretch."""
    for group in joined(stretches, _NEAR):
        places = iter(group)
        place = next(places)
        for message in read_all(reader, partition, Stretch(group[0].first, group[-1].last), on_read):
            offset = message.offset() or 0
            while offset > place.last:
                place = next(places)
            if offset >= place.first:
                judge.take(message, place)


def joined(stretches: Iterable[Stretch], near: int) -> Iterator[list[Stretch]]:
    """Stretches in groups, a new one where the way from one to the next is longer than `near` offsets."""
    group: list[Stretch] = []
    for stretch in stretches:
        if group and stretch.first - group[-1].last > near:
            yield group
            group = []
        group.append(stretch)
    if group:
        yield group


def read_all(
    reader: TopicReader, partition: int, stretch: Stretch, on_read: Callable[[int], None]
) -> Iterator[Message]:
    """Every record of a stretch, in order."""
    for number, message in enumerate(reader.read([Span(partition, stretch.first, stretch.last + 1)]), 1):
        yield message
        if number % 5_000 == 0:
            on_read((message.offset() or 0) - stretch.first)
