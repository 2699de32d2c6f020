"""Which offsets a replay reads: pure decisions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.replay.event_filter import EventFilter
from taximeter_consumers.replay.topic_range import Found, Offsets, Span, TopicRange, chosen_partitions, resolve
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.uuid7 import compose

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
numbers = st.integers(0, 50)


def test_without_a_wish_everything_is_read() -> None:
    """From the first record that is left to the end as it is now."""
    assert resolve(TopicRange(), 3, Found(low=10, high=25)) == Span(3, 10, 25)


@pytest.mark.parametrize(
    ("wanted", "found", "span"),
    [
        (TopicRange(first=Offsets(12), end=Offsets(20)), Found(10, 25), Span(0, 12, 20)),
        (TopicRange(first=Offsets(12, {0: 15})), Found(10, 25), Span(0, 15, 25)),
        (TopicRange(first=Offsets(own={1: 15})), Found(10, 25), Span(0, 10, 25)),
        (TopicRange(first=Offsets(2)), Found(10, 25), Span(0, 10, 25, gone=8)),
        (TopicRange(first=Offsets(2), end=Offsets(5)), Found(10, 25), Span(0, 10, 10, gone=3)),
        (TopicRange(first=Offsets(90)), Found(10, 25), Span(0, 90, 90)),
        (TopicRange(end=Offsets(99)), Found(10, 25), Span(0, 10, 25)),
        (TopicRange(since=NOON), Found(10, 25, since=14), Span(0, 14, 25)),
        (TopicRange(since=NOON), Found(10, 25, since=None), Span(0, 25, 25)),
        (TopicRange(until=NOON), Found(10, 25, until=14), Span(0, 10, 14)),
        (TopicRange(until=NOON), Found(10, 25, until=None), Span(0, 10, 25)),
        (TopicRange(first=Offsets(12), since=NOON), Found(10, 25, since=14), Span(0, 14, 25)),
    ],
)
def test_wishes_are_cut_to_what_is_there(wanted: TopicRange, found: Found, span: Span) -> None:
    """Offsets and times narrow one another; what is deleted is said; what is not there yet is not waited for."""
    assert resolve(wanted, 0, found) == span


@given(numbers, numbers, st.none() | numbers, st.none() | numbers, st.none() | numbers, st.none() | numbers)
def test_a_span_lies_in_the_log(
    low: int, size: int, first: int | None, end: int | None, since: int | None, until: int | None
) -> None:
    """Whatever is asked for, a span that is not empty lies between the ends and inside the wish."""
    wanted = TopicRange(
        first=Offsets(first),
        end=Offsets(end),
        since=None if since is None else NOON,
        until=None if until is None else NOON,
    )
    span = resolve(wanted, 0, Found(low, low + size, since, until))
    assert span.gone >= 0
    if not span.is_empty:
        assert low <= span.first < span.end <= low + size
        assert span.first >= max(first or 0, since or 0)
        assert span.end <= min(50 + 50 if end is None else end, 50 + 50 if until is None else until)


def test_partitions_are_those_that_were_named() -> None:
    """All without a wish; the named ones else; one that does not exist is refused."""
    present = frozenset(range(4))
    assert chosen_partitions(TopicRange(), present) == [0, 1, 2, 3]
    assert chosen_partitions(TopicRange(frozenset({2})), present) == [2]
    with pytest.raises(Misconfigured, match="0 to 3"):
        chosen_partitions(TopicRange(frozenset({4})), present)
    with pytest.raises(Misconfigured, match="no partition 9"):
        chosen_partitions(TopicRange(first=Offsets(own={9: 1})), present)


def test_a_filter_asks_for_every_condition() -> None:
    """Values of one kind are alternatives; the kinds must all hold."""
    event = MeterEvent(
        event_id=compose(0, b"0123456789"), occurred_at=NOON, account_id="a", run_id="r", workflow_id="w"
    )
    assert EventFilter().selects_all
    assert EventFilter().selects(event)
    assert EventFilter(account_ids=frozenset({"a", "b"})).selects(event)
    assert EventFilter(frozenset({"r"}), frozenset({"a"}), frozenset({"w"})).selects(event)
    assert not EventFilter(frozenset({"r"}), frozenset({"b"})).selects(event)
    assert not EventFilter(workflow_ids=frozenset({"x"})).selects_all
