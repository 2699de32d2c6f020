"""What of a log an archive lacks, and where its files are cut. Pure.

A file covers offsets from its first to its last, those among them that no reader ever gets included (markers of
transactions, compacted records). So the files of a partition tile it, and what they do not cover is what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_consumers.replay.topic_range import Span

if TYPE_CHECKING:
    from taximeter_consumers.archive.manifest import ArchivedPart
    from taximeter_consumers.archive.message import ReadMessage

HOUR_MS: Final = 3_600_000


@dataclass(frozen=True)
class Limits:
    """A file ends with the hour, and before that when it has so many messages, or bytes of keys and values."""

    rows: int = 100_000
    bytes: int = 64 * 2**20


@dataclass(frozen=True)
class Chunk:
    """The messages of one file; it covers the offsets `first` to `end` (exclusive)."""

    first: int
    end: int
    messages: Sequence[ReadMessage]


def uncovered(span: Span, parts: Iterable[ArchivedPart]) -> list[Span]:
    """What of a span is in none of the partition's files, in order."""
    missing, at = [], span.first
    for part in sorted(parts, key=lambda part: part.first):
        if part.last < at or part.first >= span.end:
            continue
        if part.first > at:
            missing.append(Span(span.partition, at, part.first))
        at = part.last + 1
    if at < span.end:
        missing.append(Span(span.partition, at, span.end))
    return missing


def cut(messages: Iterable[ReadMessage], span: Span, limits: Limits) -> Iterator[Chunk]:
    """The messages of a span as files. One that is older than its file's hour stays in it: a clock went back."""
    taken: list[ReadMessage] = []
    size, first, hour = 0, span.first, 0
    for message in messages:
        arrived = message.timestamp()[1] // HOUR_MS
        if taken and (arrived > hour or len(taken) >= limits.rows or size >= limits.bytes):
            yield Chunk(first, message.offset(), taken)
            taken, size, first = [], 0, message.offset()
        if not taken:
            hour = arrived
        taken.append(message)
        size += len(message.value() or b"") + len(message.key() or b"")
    if taken:
        yield Chunk(first, span.end, taken)


def ripe(span: Span, hour_begins: int, rows: int) -> Span:
    """What of a span a service archives now: hours that are over (the current one begins at the offset
    `hour_begins`), and of the current one whole files."""
    first = max(span.first, min(hour_begins, span.end))
    end = first + (span.end - first) // rows * rows
    return Span(span.partition, span.first, end)


def overtaken(log: Span, parts: Iterable[ArchivedPart]) -> Span | None:
    """What Kafka has deleted of a partition since its last file, and no archive gets any more; None: nothing. `log`
    is what the partition has now. A partition without files was not archived yet, so nothing of it is missed."""
    next_one = max((part.last + 1 for part in parts), default=log.first)
    return Span(log.partition, next_one, log.first) if next_one < log.first else None


def gaps(parts: Sequence[ArchivedPart]) -> list[tuple[int, int]]:
    """Offsets between the files of one partition that none of them covers: first and last, inclusive."""
    ordered = sorted(parts, key=lambda part: part.first)
    found, at = [], ordered[0].first if ordered else 0
    for part in ordered:
        if part.first > at:
            found.append((at, part.first - 1))
        at = max(at, part.last + 1)
    return found


def overlaps(parts: Sequence[ArchivedPart]) -> list[tuple[int, int]]:
    """Offsets that more than one file covers, as `gaps`. They are read once."""
    found, at = [], 0
    for part in sorted(parts, key=lambda part: part.first):
        if part.first < at:
            found.append((part.first, min(at - 1, part.last)))
        at = max(at, part.last + 1)
    return found
