"""Batches that the sink has settled and that the ledger does not list: it lost a part, as on a full disk it may.

A row names its batch by number, and the number comes from the batch's place in the log and its bytes. So with the log
at hand the very batch is found again: it is the stretch around those rows that has this number. What lies between has
no rows (bad records, or lost as well) and is cut anew. Above what the sink has committed nothing is looked at: there
batches are on their way, or wait for an operator.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from taximeter_consumers.replay.cuts import Cut, arrival_of, batch_of, round_cuts
from taximeter_consumers.replay.topic_range import Span
from taximeter_consumers.sink.settings import MOST_ROWS_OF_A_BUNDLE

if TYPE_CHECKING:
    from taximeter_consumers.archive.message import ReadMessage
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.replay.source import Source

_log = structlog.get_logger()
# Each row is held against all of them. A log has hardly any holes; one with the markers of transactions has many, of
# an offset each, and the largest are looked into.
_MOST_HOLES: Final = 500
# Between the rows of two batches lie bad records only. So many of them are tried at a batch's end, and so many
# stretches in all.
_MOST_BAD: Final = 1_000
_MOST_TRIES: Final = 1_000

_ROWS: Final = """
SELECT kafka_partition, batch_id, min(kafka_offset), max(kafka_offset), toUnixTimestamp64Milli(any(arrived_at))
FROM stored_events
WHERE kafka_topic = {topic:String} AND kafka_offset BETWEEN {least:Int64} AND {greatest:Int64}
    AND arrayExists((partition, first, last) -> kafka_partition = partition AND kafka_offset BETWEEN first AND last,
        {partitions:Array(Int32)}, {firsts:Array(Int64)}, {lasts:Array(Int64)})
GROUP BY kafka_partition, batch_id ORDER BY 1, 3, 4
"""


class Rows(NamedTuple):
    """What is stored of a batch: its number, the first and last offset of its rows, and when its first record arrived
    (Unix milliseconds)."""

    batch_id: int
    first: int
    last: int
    arrived_ms: int


class Hole(NamedTuple):
    """A stretch of a partition that no listed batch covers."""

    partition: int
    cut: Cut


def unlisted(
    clickhouse: ClickHouse, source: Source, settled: Iterable[Span], listed: Mapping[int, Sequence[Cut]]
) -> dict[int, list[Cut]]:
    """The cuts, by partition, of all that is not `listed` in those spans of the log that are settled; none for a log of
    which nothing is known here: it is stored elsewhere. Raises what reading raises."""
    holes = [Hole(span.partition, cut) for span in settled for cut in holes_of(span, listed.get(span.partition, ()))]
    holes = sorted(sorted(holes, key=_size, reverse=True)[:_MOST_HOLES])
    rows = _rows(clickhouse, source.topic, holes) if holes else {}
    again = {hole: _known_again(source, hole, rows.get(hole.partition, ())) for hole in holes}
    if not any(listed.values()) and not any(again.values()):
        return {}
    found: dict[int, list[Cut]] = {}
    for (partition, cut), known in again.items():
        left = holes_of(Span(partition, cut.first, cut.last + 1), known)
        anew = [one for hole in left for one in round_cuts(hole.first, hole.last + 1)]
        found.setdefault(partition, []).extend([*known, *anew])
        where = {"partition": partition, "from_offset": cut.first, "to_offset": cut.last}
        counts = {"batches_known_again": len(known), "cut_anew": len(anew)}
        _log.info("the ledger lacks what the sink has committed", **where, **counts)
    return found


def holes_of(span: Span, listed: Iterable[Cut]) -> list[Cut]:
    """What of a span is in no listed batch, in order."""
    found, reached = [], span.first
    for cut in sorted(listed):
        if reached < cut.first and reached < span.end:
            found.append(Cut(reached, min(cut.first, span.end) - 1))
        reached = max(reached, cut.last + 1)
    if reached < span.end:
        found.append(Cut(reached, span.end - 1))
    return found


def recognised(topic: str, partition: int, messages: Iterable[ReadMessage], stored: Sequence[Rows]) -> Iterator[Cut]:
    """The batches of a stretch of the log by what is stored of them, both in order. One that does not have its number
    any more (bytes of the log are others, or more is missing) is left out."""
    log = iter(messages)
    ahead = next(log, None)
    held: list[ReadMessage] = []
    for rows, after in zip_longest(stored, stored[1:]):
        # Nothing before the first record that arrived when the batch's own first record did.
        held = held[next((i for i, one in enumerate(held) if arrival_of(one) == rows.arrived_ms), len(held)) :]
        next_first = rows.last + 1 + _MOST_BAD if after is None else after.first
        end = max(rows.last + 1, min(rows.last + 1 + _MOST_BAD, next_first))
        while ahead is not None and ahead.offset() < end:
            if held or arrival_of(ahead) == rows.arrived_ms or ahead.offset() >= rows.first:
                held.append(ahead)
            if len(held) > MOST_ROWS_OF_A_BUNDLE and ahead.offset() < rows.first:
                held.clear()
            ahead = next(log, None)
        cut = _cut_of(topic, partition, held, rows)
        if cut is not None:
            yield cut
        past = min(rows.last if cut is None else cut.last, next_first - 1)
        held = [message for message in held if message.offset() > past]


def _cut_of(topic: str, partition: int, held: Sequence[ReadMessage], rows: Rows) -> Cut | None:
    """A batch begins at or before its first row, with a record that arrived when it did; where it ends is for its
    number to say."""
    offsets = [message.offset() for message in held]
    begins = [i for i in range(bisect_right(offsets, rows.first)) if arrival_of(held[i]) == rows.arrived_ms]
    ends = range(bisect_right(offsets, rows.last), len(held) + 1)
    for begin, end in islice(((begin, end) for end in ends for begin in begins), _MOST_TRIES):
        batch = batch_of(topic, partition, held[begin:end])
        if batch.batch_id == rows.batch_id:
            return Cut(batch.first, batch.last)
    return None


def _known_again(source: Source, hole: Hole, rows: Iterable[Rows]) -> list[Cut]:
    partition, cut = hole
    inside = [one for one in rows if cut.first <= one.first and one.last <= cut.last]
    messages = source.read([Span(partition, cut.first, cut.last + 1)]) if inside else ()
    return list(recognised(source.topic, partition, messages, inside))


def _rows(clickhouse: ClickHouse, topic: str, holes: Sequence[Hole]) -> dict[int, list[Rows]]:
    firsts, lasts = [hole.cut.first for hole in holes], [hole.cut.last for hole in holes]
    bounds = {"least": min(firsts), "greatest": max(lasts), "firsts": firsts, "lasts": lasts}
    asked = {"topic": topic, "partitions": [hole.partition for hole in holes], **bounds}
    found: dict[int, list[Rows]] = {}
    for partition, *row in clickhouse.rows(_ROWS, asked):
        found.setdefault(partition, []).append(Rows(*row))
    return found


def _size(hole: Hole) -> int:
    return hole.cut.last - hole.cut.first
