"""Where files are cut and what an archive lacks, held against plain sets of offsets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.archive.manifest import ArchivedPart, part_path
from taximeter_consumers.archive.message import ArchivedMessage
from taximeter_consumers.archive.tiling import HOUR_MS, Limits, cut, gaps, overlaps, overtaken, ripe, uncovered
from taximeter_consumers.replay.topic_range import Span


def part(first: int, last: int) -> ArchivedPart:
    """A file that covers these offsets."""
    return ArchivedPart(
        path=part_path(0, first, last, 0, "avro"),
        partition=0,
        first=first,
        last=last,
        rows=1,
        size=1,
        sha256="0" * 64,
        first_ms=0,
        last_ms=0,
    )


def offsets(first: int, last: int) -> set[int]:
    """Inclusive."""
    return set(range(first, last + 1))


Ranges = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 15)).map(lambda drawn: (drawn[0], sum(drawn))), max_size=8
)


@given(Ranges, st.integers(0, 40), st.integers(0, 50))
def test_what_is_lacking_is_what_no_file_covers(ranges: list[tuple[int, int]], first: int, length: int) -> None:
    """Each offset of the span, once, in order."""
    missing = uncovered(Span(0, first, first + length), [part(*one) for one in ranges])
    covered = set().union(*(offsets(*one) for one in ranges))
    assert [at for span in missing for at in range(span.first, span.end)] == sorted(
        set(range(first, first + length)) - covered
    )


@given(Ranges)
def test_gaps_and_overlaps_are_told(ranges: list[tuple[int, int]]) -> None:
    """A gap lies between files; what lies in two is no gap."""
    parts = [part(*one) for one in ranges]
    covered = [at for one in ranges for at in offsets(*one)]
    whole = offsets(min(covered), max(covered)) if covered else set()
    assert {at for gap in gaps(parts) for at in offsets(*gap)} == whole - set(covered)
    assert {at for one in overlaps(parts) for at in offsets(*one)} == {at for at in covered if covered.count(at) > 1}


Steps = st.lists(st.tuples(st.integers(1, 4), st.integers(-1, HOUR_MS // 3), st.integers(0, 40)), max_size=40)


@given(Steps, st.integers(1, 7), st.integers(1, 100))
def test_files_tile_the_span_and_keep_the_limits(steps: list[tuple[int, int, int]], rows: int, size: int) -> None:
    """Every message is in one file, in order; none has too many, or reaches past its hour; markers are covered."""
    at, time, messages = 5, 10 * HOUR_MS, []
    for step, later, length in steps:
        at, time = at + step, time + later
        messages.append(ArchivedMessage("t", 0, at, time, b"k", bytes(length)))
    span = Span(0, 3, at + 4)
    chunks = list(cut(iter(messages), span, Limits(rows, size)))
    assert [one for chunk in chunks for one in chunk.messages] == messages
    places = [span.first, *(chunk.end for chunk in chunks)]
    assert [chunk.first for chunk in chunks] == places[:-1]
    assert not chunks or places[-1] == span.end
    for chunk in chunks:
        assert len(chunk.messages) <= rows
        assert sum(len(one.value() or b"") + 1 for one in chunk.messages[:-1]) < size
        hours = [one.at_ms // HOUR_MS for one in chunk.messages]
        assert max(hours) == hours[0]
        assert all(chunk.first <= one.at_offset < chunk.end for one in chunk.messages)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 120), st.integers(1, 20))
def test_a_service_takes_hours_that_are_over_and_full_files(first: int, length: int, hour: int, rows: int) -> None:
    """Never less than what is over, never a part of a file of the current hour."""
    span = Span(0, first, first + length)
    taken = ripe(span, hour, rows)
    over = max(first, min(hour, span.end))
    assert (taken.first, taken.partition) == (first, 0)
    assert over <= taken.end <= span.end
    assert (taken.end - over) % rows == 0
    assert span.end - taken.end < rows


@given(Ranges, st.integers(0, 90), st.integers(0, 20))
def test_what_kafka_deleted_first_is_told(ranges: list[tuple[int, int]], first: int, length: int) -> None:
    """Offsets past the last file that the log does not begin with any more; nothing where there is no file yet."""
    lost = overtaken(Span(0, first, first + length), [part(*one) for one in ranges])
    archived = max((last for _, last in ranges), default=first)
    assert set(range(lost.first, lost.end) if lost else ()) == set(range(archived + 1, first))
    assert lost is None or not lost.is_empty
