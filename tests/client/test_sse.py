"""Server-sent events out of bytes, and when a stream connects again."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.client import NotFound, Unavailable
from taximeter.client.answers.live import Freshness, OtherEvent, Totals
from taximeter.client.call import Reply
from taximeter.client.conversation import Lost, Patience
from taximeter.client.live import stream_call
from taximeter.client.problems import problem_of
from taximeter.client.sse import Following

TOTALS = {"since": "2026-11-01T00:00:00Z", "costUsd": "0.1", "totalTokens": 3, "events": 1, "aiCalls": 1,
          "unpricedCalls": 0, "unmeasuredCalls": 0, "estimatedCalls": 0}  # fmt: skip
DOWN = Lost("ConnectError", was_sent=False)


def following() -> Following:
    """A new stream."""
    return Following(stream_call(), Patience(retries=2, longest_wait=20.0))


def told(data: object, name: str = "new", number: int = 1, end: str = "\n") -> bytes:
    """An event as the API writes it."""
    return end.join(
        (f"id: {number}", f"event: {name}", f"data: {json.dumps(data, ensure_ascii=False)}", "", "")
    ).encode()


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=6),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 400), max_size=20),
)
def test_events_are_the_same_however_the_bytes_come(said: list[dict[str, str]], end: str, cuts: list[int]) -> None:
    """Cut anywhere, within a character and between the two bytes of a line's end; any text within the data."""
    stream = b": hello" + end.encode() + b"".join(told(one, number=n, end=end) for n, one in enumerate(said))
    stream += f"event: last{end}data: 1{end}{end}: beat{end}".encode()
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    state = following()
    found = [one for a, b in pairwise(places) for one in state.events(stream[a:b])]
    assert [one.data for one in found[:-1] if isinstance(one, OtherEvent)] == said
    assert found[-1] == OtherEvent(event="last", data={"data": 1})
    assert state.last_id == (str(len(said) - 1) if said else "")


def test_known_events_are_models() -> None:
    """Money is Decimal; one that this version cannot read is handed on as it is."""
    totals, other = following().events(told(TOTALS, "totals") + told({"costUsd": 1}, "totals"))
    assert isinstance(totals, Totals)
    assert totals.cost_usd == Decimal("0.1")
    assert other == OtherEvent(event="totals", data={"costUsd": 1})
    fresh = {"rollupLagSeconds": 1.5, "lastStoredSeconds": None, "unreadRecords": 0, "ready": True, "reasons": []}
    (event,) = following().events(told(fresh, "freshness"))
    assert isinstance(event, Freshness)


def test_the_next_connection_begins_after_the_last_event() -> None:
    """And forgets half an event of the one that broke."""
    state = following()
    list(state.events(b"retry: 500\n" + told({}, number=41) + b"event: half\ndata: {"))
    assert state.request().headers["Last-Event-ID"] == "41"
    (whole,) = state.events(told({"a": 1}))
    assert whole == OtherEvent(event="new", data={"a": 1})
    assert 0.25 <= state.wait(None) <= 0.5


def test_a_stream_that_never_spoke_ends_with_the_refusal() -> None:
    """After some tries; one that has spoken goes on for ever, with longer waits."""
    state = following()
    state.wait(DOWN)
    state.wait(DOWN)
    with pytest.raises(Unavailable):
        state.wait(DOWN)
    lasting = following()
    list(lasting.events(told({})))
    waits = [lasting.wait(DOWN) for _ in range(50)]
    assert max(waits) <= 20.0
    assert waits[-1] >= 10.0


def test_a_refusal_ends_a_stream() -> None:
    """Another account, a revoked key: asking again is of no use. A full server says when to come back."""
    state = following()
    list(state.events(told({})))
    with pytest.raises(NotFound):
        state.wait(problem_of(Reply(404, {}, b"{}")))
    assert state.wait(problem_of(Reply(429, {"retry-after": "30"}, b"{}"))) >= 30


@pytest.mark.parametrize("chunk", [b"data: <html>\n\n", b"x" * (2**20 + 1)])
def test_what_is_no_stream_of_the_api_is_said(chunk: bytes) -> None:
    """And is not kept without end."""
    with pytest.raises(Unavailable, match="proxy"):
        list(following().events(chunk))
