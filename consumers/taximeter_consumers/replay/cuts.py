"""Messages of a topic cut into the batches that they are stored in. Pure.

A part of the log that the sink has stored is cut as the sink cut it: the batch then has the same identity, and its
events the same time of arrival, which their prices go by. What no ledger knows is cut at round offsets, so that the
same replay always cuts the same batches.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from taximeter_consumers.sink.batch import Batch

if TYPE_CHECKING:
    from taximeter_consumers.archive.message import ReadMessage
    from taximeter_consumers.replay.topic_range import Span

ROUND: Final = 20_000
"""Offsets of a batch where no ledger says otherwise."""
# A version of a row has room for these (the year 2109); without a time of the broker it is negative.
_MOST_MILLIS: Final = 2**42 - 1


class Cut(NamedTuple):
    """Offsets of one partition that make up a batch, inclusive."""

    first: int
    last: int


def cuts_of(span: Span, known: Iterable[Cut], log: Span, *, known_only: bool) -> list[Cut]:
    """The cuts of a span of a log, which begins and ends where `log` does.

    A known batch that the span only touches is taken whole; one that the log does not have whole any more is no known
    one; where batches overlap, each offset is taken once. With `known_only` what no ledger knows is left out.
    """
    found: list[Cut] = []
    reached = span.first
    for cut in sorted(known):
        if cut.last < reached or cut.first >= span.end or cut.first < log.first or cut.last >= log.end:
            continue
        begin = cut.first if not found else max(cut.first, reached)
        if begin > reached and not known_only:
            found.extend(round_cuts(reached, begin))
        found.append(Cut(begin, cut.last))
        reached = cut.last + 1
    if not known_only:
        found.extend(round_cuts(reached, span.end))
    return found


def covers(cuts: Iterable[Cut], wanted: Cut) -> bool:
    """Whether every offset of `wanted` lies in one of the cuts."""
    reached = wanted.first
    for cut in sorted(cuts):
        if cut.first > reached:
            break
        reached = max(reached, cut.last + 1)
    return reached > wanted.last


def round_cuts(first: int, end: int) -> Iterator[Cut]:
    """The cuts of a stretch of which no ledger knows anything; `end` is not in it."""
    while first < end:
        last = min(end, (first // ROUND + 1) * ROUND) - 1
        yield Cut(first, last)
        first = last + 1


@dataclass
class Cutter:
    """Takes messages in the order of each partition and gives batches. `cuts` are disjoint and in order."""

    topic: str
    cuts: dict[int, list[Cut]]
    _held: dict[int, list[ReadMessage]] = field(default_factory=dict)
    _next: dict[int, int] = field(default_factory=dict)

    def offer(self, partition: int, messages: Sequence[ReadMessage]) -> Iterator[Batch]:
        """The batches that these messages complete; messages of no cut are left out."""
        cuts = self.cuts.get(partition, [])
        offsets = [message.offset() for message in messages]
        begin = 0
        while begin < len(messages) and self._next.get(partition, 0) < len(cuts):
            cut = cuts[self._next.get(partition, 0)]
            begin = bisect_left(offsets, cut.first, begin)
            end = bisect_right(offsets, cut.last, begin)
            self._held.setdefault(partition, []).extend(messages[begin:end])
            begin = end
            # The next cut begins only when something past this one has been seen, or its last offset itself.
            if end < len(offsets) or (offsets and offsets[-1] >= cut.last):
                self._next[partition] = self._next.get(partition, 0) + 1
                yield from self._given(partition)

    def rest(self) -> Iterator[Batch]:
        """What is held when all was read: batches whose last offsets hold no record."""
        for partition in list(self._held):
            yield from self._given(partition)

    def _given(self, partition: int) -> Iterator[Batch]:
        held = self._held.pop(partition, [])
        if held:
            yield batch_of(self.topic, partition, held)


def batch_of(topic: str, partition: int, messages: Sequence[Any]) -> Batch:
    """Messages as a batch, as the sink makes them."""
    return Batch(
        topic=topic,
        partition=partition,
        offsets=[message.offset() for message in messages],
        values=[message.value() for message in messages],
        arrivals=list(map(arrival_of, messages)),
    )


def arrival_of(message: Any) -> int:
    """When the broker appended it, Unix milliseconds; 0 where it does not say."""
    return min(max(int(message.timestamp()[1]), 0), _MOST_MILLIS)
