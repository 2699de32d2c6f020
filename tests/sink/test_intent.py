"""The intent in the commit metadata."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taximeter_consumers.sink.intent import MOST_SLICES, Intent, Slice, Standing, from_metadata, to_metadata

LOG = "kSN4e2k5TZ2nfQnUhLDJxw"
# What the first version wrote.
FIRST_VERSION = '{"taximeter":1,"batches":[[7,9,"5b3f"]]}'


@st.composite
def _announced(draw: st.DrawFn) -> tuple[int, int, list[Intent]]:
    """A partition, the offset that is committed of it, and bundles that begin there or later, one after another."""
    number = draw(st.integers(0, 200))
    committed = at = draw(st.integers(0, 10**12))
    intents = []
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 10**6)), max_size=3)):
        others = draw(st.sets(st.integers(0, 500).filter(lambda other: other != number), max_size=MOST_SLICES - 1))
        first = draw(st.integers(0, 10**12))
        slices = [Slice(other, first, first + 9) for other in others]
        intents.append(tuple(sorted([*slices, Slice(number, at + gap, at + gap + length - 1)])))
        at += gap + length
    return number, committed, intents


@given(_announced())
def test_what_is_written_is_read(announced: tuple[int, int, list[Intent]]) -> None:
    """Bundles of many partitions and the log's identity survive the way through the metadata, in their order."""
    number, committed, intents = announced
    metadata = to_metadata(LOG, intents)
    assert from_metadata(metadata, number, committed) == Standing(committed, LOG, tuple(intents))


def test_the_largest_metadata_fits_into_what_brokers_allow() -> None:
    """Three bundles of as many slices as one may have, with offsets of 13 digits, take less than 4,096 bytes."""
    widest = 10**13 - 1
    intent = tuple(Slice(9_999 - number, widest - 1, widest) for number in range(MOST_SLICES))
    assert len(to_metadata(LOG, [intent] * 3).encode()) < 4096


@given(st.one_of(st.none(), st.text(), st.text('[]{}":,0123456789-taximer', max_size=60)), st.integers(-1, 10**9))
@example("[" * 4_000, 5)
@example('{"a":' * 800, 5)
@example("9" * 4_000, 5)
def test_foreign_metadata_says_nothing(metadata: str | None, committed: int) -> None:
    """What another program left in the metadata is not taken for an intent, whatever it is, and never raises."""
    assert from_metadata(metadata, 0, committed) == Standing(committed)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner), max_leaves=5
)


@given(_JSON, _JSON, st.integers(0, 9))
def test_nonsense_under_our_name_never_raises(log: object, bundles: object, committed: int) -> None:
    """Metadata that looks like ours may hold anything: it is read as no intent, or as slices that are in order."""
    metadata = json.dumps({"taximeter": 2, "log": log, "bundles": bundles})
    standing = from_metadata(metadata, 0, committed)
    assert standing.offset == committed
    assert all(one.first <= one.last for intent in standing.intents for one in intent)


@pytest.mark.parametrize(
    "metadata", ["null", "3", "[]", "{}", '"taximeter"', FIRST_VERSION, '{"taximeter":3,"log":"x","bundles":[]}']
)
def test_json_that_is_not_of_this_version_says_nothing(metadata: str) -> None:
    """Other JSON, an older version and a newer one are no commits of this sink's."""
    assert from_metadata(metadata, 0, 7) == Standing(7)


@pytest.mark.parametrize(
    "bundle", ["0:9-7", "0:-1-7", "0:7", "x:7-9", "0", "0:7-9,0:10-12", "0:7-9,1:3-2", "0:7-9,-1:3-4", ",", "0:7-x"]
)
def test_a_bundle_that_cannot_be_is_no_intent(bundle: str) -> None:
    """A stretch that runs backwards, lies below zero, is none at all, or stands beside another of its partition."""
    metadata = json.dumps({"taximeter": 2, "log": LOG, "bundles": [bundle]})
    assert from_metadata(metadata, 0, 7).intents == ()


@given(_announced(), st.integers(1, 100))
def test_bundles_that_contradict_the_offset_do_not_hold(announced: tuple[int, int, list[Intent]], further: int) -> None:
    """An offset past an intent's start, or bundles that overlap, make all intents void; the log's identity stays."""
    number, _, intents = announced
    if not intents:
        return
    own = next(one for one in intents[0] if one.partition == number)
    assert from_metadata(to_metadata(LOG, intents), number, own.first + further) == Standing(own.first + further, LOG)
    twice = to_metadata(LOG, [*intents, intents[-1]])
    assert from_metadata(twice, number, own.first) == Standing(own.first, LOG)


def test_bundles_of_other_partitions_alone_do_not_hold() -> None:
    """Metadata that was copied from another partition names none of this one's slices, and so announces nothing."""
    assert from_metadata(to_metadata(LOG, [(Slice(1, 7, 9),)]), 0, 7) == Standing(7, LOG)


def test_a_broker_without_identities_is_told_so() -> None:
    """An empty identity comes back as empty, which is not the same as a commit that is not the sink's."""
    assert from_metadata(to_metadata("", []), 0, 7) == Standing(7, "")
    assert from_metadata("", 0, 7).log is None
