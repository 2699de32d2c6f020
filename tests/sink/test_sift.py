"""Finding the bad records of a refused batch."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sink.records import BAD, events, value_of

from taximeter_consumers.sink import sift
from taximeter_consumers.sink.guards import REASONS
from taximeter_consumers.sink.walk import walk_of
from taximeter_schemas import avro_files
from taximeter_schemas.registry import PackagedRegistry


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1))))
def test_halving_finds_exactly_the_bad_ones(case: tuple[int, set[int]]) -> None:
    """Whatever their number and place, the bad records and only they are found."""
    count, bad = case
    trials = 0

    def refuses(some: Sequence[int]) -> bool:
        nonlocal trials
        trials += 1
        return not bad.isdisjoint(some)

    assert sift.refused_ones(range(count), refuses) == sorted(bad)
    assert trials <= 2 * len(bad) * (count.bit_length() + 1)


@pytest.mark.parametrize("kind", sorted(kind for kind, (reason, _) in BAD.items() if reason not in REASONS))
def test_every_kind_of_bad_record_has_its_reason(kind: str) -> None:
    """The reason in a dead letter's header says what is wrong, in one word. Of values the engine says it: `guards`."""
    reason, spoil = BAD[kind]
    value = value_of(events(1, seed=3)[0])
    assert sift.reason(spoil(value), PackagedRegistry()).reason == reason


def test_good_records_are_grouped_and_aligned() -> None:
    """Nothing is set aside where nothing is wrong."""
    values = [value_of(event) for event in events(50, seed=4)]
    sifted = sift.by_schema(values)
    assert sifted.bad == {}
    assert dict(sifted.groups) == {avro_files.CURRENT_VERSION: list(range(50))}
    walk = walk_of(avro_files.schema_of(avro_files.CURRENT_VERSION), avro_files.CURRENT_VERSION)
    assert sift.unaligned(sift.Group(values, range(50), walk), range(50)) == {}
