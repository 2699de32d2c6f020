"""The intent in the commit metadata."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.sink.intent import Intent, from_metadata, to_metadata


@st.composite
def _chains(draw: st.DrawFn) -> tuple[int, list[Intent]]:
    committed = at = draw(st.integers(0, 2**50))
    intents = []
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 10**6)), max_size=8)):
        intents.append(Intent(at + gap, at + gap + length - 1, draw(st.text("0123456789abcdef", max_size=32))))
        at += gap + length
    return committed, intents


@given(_chains())
def test_what_is_written_is_read(chain: tuple[int, list[Intent]]) -> None:
    """Intents survive the way through the metadata, and eight of them fit into what brokers allow."""
    committed, intents = chain
    metadata = to_metadata(intents)
    assert from_metadata(metadata, committed) == intents
    assert len(metadata) < 4096


@given(st.text(), st.integers(0, 10**9))
def test_foreign_metadata_is_no_intent(metadata: str, committed: int) -> None:
    """What another program left in the metadata is not taken for an intent, whatever it is."""
    assert from_metadata(metadata, committed) == []


@given(_chains(), st.integers(1, 100))
def test_an_intent_below_the_offset_does_not_hold(chain: tuple[int, list[Intent]], further: int) -> None:
    """An offset that was moved by hand past an intent's start makes the whole metadata void."""
    _, intents = chain
    if intents:
        assert from_metadata(to_metadata(intents), intents[0].first + further) == []


def test_json_that_is_not_ours_is_no_intent() -> None:
    """Other JSON, another version and a reversed range are no intents."""
    for metadata in ("null", "3", "[]", '{"taximeter":2,"batches":[]}', '{"taximeter":1,"batches":[[9,3,"x"]]}'):
        assert from_metadata(metadata, 0) == []
