"""Finding batches again that the ledger lost, by their rows and the log: pure decisions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.archive.message import ArchivedMessage
from taximeter_consumers.replay import unlisted as module
from taximeter_consumers.replay.cuts import Cut, batch_of
from taximeter_consumers.replay.topic_range import Span
from taximeter_consumers.replay.unlisted import Rows, holes_of, recognised
from taximeter_consumers.sink.batch import Batch

_SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=8)
_OFFSETS = st.integers(0, 40)


def message(offset: int, pace: int = 1) -> ArchivedMessage:
    """A message of partition 0; `pace` of them arrive in each millisecond."""
    return ArchivedMessage("t", 0, offset, 1_000 + offset // pace, None, b"%d" % offset)


@given(st.sets(_OFFSETS, min_size=1), _SIZES, st.sets(_OFFSETS), st.integers(1, 50))
def test_a_batch_is_known_again_by_its_rows(offsets: set[int], sizes: list[int], bad: set[int], pace: int) -> None:
    """All that have rows are found, and nothing else, wherever bad records lie and however many arrive at once."""
    log = [message(offset, pace) for offset in sorted(offsets)]
    batches, rest = [], log
    for size in sizes:
        if rest:
            batches.append(batch_of("t", 0, rest[:size]))
            rest = rest[size:]
    stored, expected = list[Rows](), list[Cut]()
    for batch in batches:
        rows = [offset for offset in batch.offsets if offset not in bad]
        if rows:
            stored.append(Rows(batch.batch_id, rows[0], rows[-1], batch.arrived_ms))
            expected.append(Cut(batch.first, batch.last))
    assert list(recognised("t", 0, log, stored)) == expected


def test_batches_that_overlap_are_both_known_again() -> None:
    """A replay and a sink have cut the same records."""
    log = [message(offset) for offset in range(20)]
    batches = [batch_of("t", 0, log[:12]), batch_of("t", 0, log[8:])]
    stored = [Rows(batch.batch_id, batch.first, batch.last, batch.arrived_ms) for batch in batches]
    assert list(recognised("t", 0, log, stored)) == [Cut(0, 11), Cut(8, 19)]


def test_next_to_a_long_hole_little_is_held_and_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what lies before and after a batch hardly anything can belong to it: no more is kept or hashed."""
    tried: list[int] = []

    def counted(topic: str, partition: int, messages: Sequence[ArchivedMessage]) -> Batch:
        tried.append(len(messages))
        return batch_of(topic, partition, messages)

    monkeypatch.setattr(module, "batch_of", counted)
    log = [message(offset) for offset in range(50_000)]
    batch = batch_of("t", 0, log[30_000:30_100])
    assert list(recognised("t", 0, log, [Rows(batch.batch_id, 30_000, 30_097, batch.arrived_ms)])) == [
        Cut(30_000, 30_099)
    ]
    assert tried == [98, 99, 100]


def test_a_log_with_other_bytes_is_not_taken_for_the_one_that_was_stored() -> None:
    """A topic that was made anew has the same offsets."""
    was = batch_of("t", 0, [message(offset) for offset in range(5)])
    other = [ArchivedMessage("t", 0, offset, 1_000, None, b"other") for offset in range(5)]
    assert list(recognised("t", 0, other, [Rows(was.batch_id, 0, 4, was.arrived_ms)])) == []


@given(st.lists(st.tuples(_OFFSETS, _OFFSETS), max_size=6), _OFFSETS, _OFFSETS)
def test_holes_are_what_is_not_listed(listed: list[tuple[int, int]], first: int, size: int) -> None:
    """No more and no less, in order and apart."""
    span, cuts = Span(0, first, first + size), [Cut(min(pair), max(pair)) for pair in listed]
    holes = holes_of(span, cuts)
    inside = {offset for hole in holes for offset in range(hole.first, hole.last + 1)}
    covered = {offset for cut in cuts for offset in range(cut.first, cut.last + 1)}
    assert inside == set(range(span.first, span.end)) - covered
    assert all(one.last + 1 < other.first for one, other in pairwise(holes))
