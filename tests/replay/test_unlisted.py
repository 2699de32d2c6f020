"""Finding batches again that the ledger lost, by their rows and the log: pure decisions."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.archive.message import ArchivedMessage
from taximeter_consumers.replay.cuts import Cut, batch_of
from taximeter_consumers.replay.topic_range import Span
from taximeter_consumers.replay.unlisted import Rows, holes_of, recognised

_SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=8)
_OFFSETS = st.integers(0, 40)


def message(offset: int) -> ArchivedMessage:
    """A message of partition 0."""
    return ArchivedMessage("t", 0, offset, 1_000 + offset, None, b"%d" % offset)


@given(st.sets(_OFFSETS, min_size=1), _SIZES, st.sets(_OFFSETS))
def test_a_batch_is_known_again_by_its_rows(offsets: set[int], sizes: list[int], bad: set[int]) -> None:
    """Only true batches are found; and every one that follows one that was found, or has a row of its first record."""
    log = [message(offset) for offset in sorted(offsets)]
    batches, rest = [], log
    for size in sizes:
        if rest:
            batches.append(batch_of("t", 0, rest[:size]))
            rest = rest[size:]
    stored, easy = list[Rows](), set[Cut]()
    is_known = True  # where the log begins, a batch begins
    for batch in batches:
        rows = [offset for offset in batch.offsets if offset not in bad]
        is_known = bool(rows) and (is_known or rows[0] == batch.first)
        if rows:
            stored.append(Rows(batch.batch_id, rows[0], rows[-1]))
        if is_known:
            easy.add(Cut(batch.first, batch.last))
    found = list(recognised("t", 0, log, stored))
    assert easy <= set(found) <= {Cut(batch.first, batch.last) for batch in batches}
    assert found == sorted(set(found))


def test_a_log_with_other_bytes_is_not_taken_for_the_one_that_was_stored() -> None:
    """A topic that was made anew has the same offsets."""
    was = batch_of("t", 0, [message(offset) for offset in range(5)])
    other = [ArchivedMessage("t", 0, offset, 1_000, None, b"other") for offset in range(5)]
    assert list(recognised("t", 0, other, [Rows(was.batch_id, 0, 4)])) == []


@given(st.lists(st.tuples(_OFFSETS, _OFFSETS), max_size=6), _OFFSETS, _OFFSETS)
def test_holes_are_what_is_not_listed(listed: list[tuple[int, int]], first: int, size: int) -> None:
    """No more and no less, in order and apart."""
    span, cuts = Span(0, first, first + size), [Cut(min(pair), max(pair)) for pair in listed]
    holes = holes_of(span, cuts)
    inside = {offset for hole in holes for offset in range(hole.first, hole.last + 1)}
    covered = {offset for cut in cuts for offset in range(cut.first, cut.last + 1)}
    assert inside == set(range(span.first, span.end)) - covered
    assert all(one.last + 1 < other.first for one, other in pairwise(holes))
