"""Batches whose rows are stored and which the ledger does not list: it lost a part, as ClickHouse may on a full disk.

A row names its batch by number, and the number comes from the batch's place in the log and its bytes. So with the log
at hand the very batch is found again: it is the stretch around those rows that has this number.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from taximeter_consumers.replay.cuts import ROUND, Cut, batch_of
from taximeter_consumers.replay.topic_range import Span

if TYPE_CHECKING:
    from taximeter_consumers.archive.message import ReadMessage
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.replay.source import Source

# Each row is held against all of them. A log has hardly any holes; one with the markers of transactions has many, of
# an offset each, and the largest are looked into.
_MOST_HOLES: Final = 500
# Between the rows of two batches lie bad records only; so many stretches are tried.
_MOST_TRIES: Final = 2_000

_ROWS: Final = """
SELECT batch_id, min(kafka_offset), max(kafka_offset) FROM stored_events
WHERE kafka_topic = {topic:String} AND kafka_partition = {partition:Int32}
    AND arrayExists((first, last) -> kafka_offset BETWEEN first AND last,
        {firsts:Array(Int64)}, {lasts:Array(Int64)})
GROUP BY batch_id ORDER BY 2, 3
"""


class Rows(NamedTuple):
    """What is stored of a batch: its number, and the first and last offset of its rows."""

    batch_id: int
    first: int
    last: int


def unlisted(clickhouse: ClickHouse, source: Source, span: Span, listed: Iterable[Cut]) -> list[Cut]:
    """The batches of a span that are stored, and are not `listed`. Raises what reading raises."""
    holes = holes_of(span, listed)
    if not holes:
        return []
    asked = {"firsts": [hole.first for hole in holes], "lasts": [hole.last for hole in holes]}
    where = {"topic": source.topic, "partition": span.partition}
    rows = [Rows(*row) for row in clickhouse.rows(_ROWS, {**where, **asked})]
    found: list[Cut] = []
    for hole in holes:
        inside = [one for one in rows if hole.first <= one.first and one.last <= hole.last]
        if inside:
            messages = source.read([Span(span.partition, hole.first, hole.last + 1)])
            found += recognised(source.topic, span.partition, messages, inside)
    return found


def holes_of(span: Span, listed: Iterable[Cut]) -> list[Cut]:
    """What of a span is in no listed batch: the largest stretches, in order."""
    found, reached = [], span.first
    for cut in sorted(listed):
        if reached < cut.first and reached < span.end:
            found.append(Cut(reached, min(cut.first, span.end) - 1))
        reached = max(reached, cut.last + 1)
    if reached < span.end:
        found.append(Cut(reached, span.end - 1))
    return sorted(sorted(found, key=lambda hole: hole.first - hole.last)[:_MOST_HOLES])


def recognised(topic: str, partition: int, messages: Iterable[ReadMessage], stored: Sequence[Rows]) -> Iterator[Cut]:
    """The batches of a stretch of the log by what is stored of them, both in order. One that does not have its number
    any more (bytes of the log are others, or more is missing) is left out."""
    log = iter(messages)
    ahead = next(log, None)
    held: list[ReadMessage] = []
    for number, rows in enumerate(stored):
        end = stored[number + 1].first if number + 1 < len(stored) else rows.last + ROUND
        while ahead is not None and ahead.offset() < end:
            held.append(ahead)
            ahead = next(log, None)
        cut = _cut_of(topic, partition, held, rows)
        if cut is not None:
            yield cut
        past = rows.last if cut is None else cut.last
        held = [message for message in held if message.offset() > past]


def _cut_of(topic: str, partition: int, held: Sequence[ReadMessage], rows: Rows) -> Cut | None:
    """A batch begins where the one before it ended, or with its first row; where it ends is for its number to say."""
    offsets = [message.offset() for message in held]
    least = max(bisect_right(offsets, rows.last), 1)
    tries = [
        (begin, end)
        for begin in dict.fromkeys((0, bisect_left(offsets, rows.first)))
        for end in range(least, len(held) + 1)
        if begin < end
    ]
    for begin, end in tries[:_MOST_TRIES]:
        batch = batch_of(topic, partition, held[begin:end])
        if batch.batch_id == rows.batch_id:
            return Cut(batch.first, batch.last)
    return None
