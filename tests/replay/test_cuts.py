"""Cutting messages into batches, and what holds a replay back: pure decisions."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.archive.message import ArchivedMessage
from taximeter_consumers.replay.cuts import ROUND, Cut, Cutter, covers, cuts_of
from taximeter_consumers.replay.pace import wait_seconds
from taximeter_consumers.replay.topic_range import Span
from taximeter_infra.cli.replay_progress import line

places = st.integers(0, 300)


def message(offset: int) -> ArchivedMessage:
    """A message of partition 0."""
    return ArchivedMessage("t", 0, offset, 1_000 + offset, None, b"%d" % offset)


def test_a_known_batch_is_cut_as_it_was() -> None:
    """Between known batches, and after them, what no ledger knows is cut at round offsets, or left out."""
    span, known = Span(0, 0, 2 * ROUND + 5), [Cut(10, 19), Cut(20, 99)]
    assert cuts_of(span, known, span, known_only=True) == [Cut(10, 19), Cut(20, 99)]
    assert cuts_of(span, known, span, known_only=False) == [
        Cut(0, 9),
        Cut(10, 19),
        Cut(20, 99),
        Cut(100, ROUND - 1),
        Cut(ROUND, 2 * ROUND - 1),
        Cut(2 * ROUND, 2 * ROUND + 4),
    ]


def test_a_batch_that_is_only_touched_is_taken_whole() -> None:
    """As far as the log has it: one that lost its beginning is no known one."""
    span, known = Span(0, 15, 30), [Cut(10, 19), Cut(20, 49)]
    assert cuts_of(span, known, Span(0, 0, 50), known_only=True) == [Cut(10, 19), Cut(20, 49)]
    assert cuts_of(span, known, Span(0, 12, 50), known_only=True) == [Cut(20, 49)]
    assert cuts_of(span, known, Span(0, 12, 50), known_only=False) == [Cut(15, 19), Cut(20, 49)]


@given(st.lists(st.tuples(places, places), max_size=8), places, places, st.booleans())
def test_cuts_are_disjoint_and_complete(known: list[tuple[int, int]], first: int, size: int, known_only: bool) -> None:
    """Whatever a ledger says, also of batches that overlap: cuts follow one another, and all of a span is in them."""
    span, log = Span(0, first, first + size), Span(0, 0, 1_000)
    cuts = cuts_of(span, [Cut(min(pair), max(pair)) for pair in known], log, known_only=known_only)
    assert all(cut.first <= cut.last for cut in cuts)
    assert all(one.last < other.first for one, other in pairwise(cuts))
    covered = {offset for cut in cuts for offset in range(cut.first, cut.last + 1)}
    if not known_only:
        assert set(range(span.first, span.end)) <= covered


@given(st.sets(places, min_size=1), st.lists(st.tuples(places, places), max_size=6), st.lists(st.integers(1, 40)))
def test_each_message_of_a_cut_is_in_its_batch_once(
    offsets: set[int], known: list[tuple[int, int]], sizes: list[int]
) -> None:
    """However the messages come, with gaps or without: each batch has the messages of its cut, in order."""
    span = Span(0, 0, 301)
    cuts = cuts_of(span, [Cut(min(pair), max(pair)) for pair in known], span, known_only=True)
    cutter = Cutter("t", {0: cuts})
    messages = [message(offset) for offset in sorted(offsets)]
    batches = []
    while messages:
        size = sizes.pop() if sizes else 50
        batches += cutter.offer(0, messages[:size])
        messages = messages[size:]
    batches += cutter.rest()
    wanted = [[one for one in sorted(offsets) if cut.first <= one <= cut.last] for cut in cuts]
    assert [list(batch.offsets) for batch in batches] == [some for some in wanted if some]


@given(st.lists(st.tuples(places, places), max_size=8), places, places)
def test_cover_is_every_offset(known: list[tuple[int, int]], one: int, other: int) -> None:
    """A range lies in some batches if each of its offsets does."""
    cuts = [Cut(min(pair), max(pair)) for pair in known]
    covered = {offset for cut in cuts for offset in range(cut.first, cut.last + 1)}
    wanted = Cut(min(one, other), max(one, other))
    assert covers(cuts, wanted) == (set(range(wanted.first, wanted.last + 1)) <= covered)


def test_a_rate_is_kept() -> None:
    """A thousand events at 100 a second are due after ten seconds; without a rate at once."""
    assert wait_seconds(1_000, 4.0, 100.0) == 6.0
    assert wait_seconds(1_000, 14.0, 100.0) == 0.0
    assert wait_seconds(1_000, 0.0, 0.0) == 0.0


def test_progress_says_what_is_left() -> None:
    """A line for where there is no terminal."""
    assert line("stored", 1_200, 5_000, 2.0) == "stored 1,200 of 5,000 (24 %), 600 a second, 6 s left"
    assert line("stored", 0, 5_000, 0.0) == "stored 0 of 5,000 (0 %), 0 a second"
