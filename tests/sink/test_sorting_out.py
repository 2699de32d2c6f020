"""Storing what is good of a group: the same outcome whatever is asked first, in few questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.sink import sift
from taximeter_consumers.sink.sift import Engine, Group, Step, store_good
from taximeter_schemas.errors import Poison, Retryable

_HABITS = [frozenset(some) for some in chain.from_iterable(combinations((Step.WALK, Step.JUDGE), n) for n in range(3))]


class _Model:
    """An engine that refuses records of three kinds: cut ones, those that break a guard, and others."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self.kinds = kinds
        self.stored: list[int] = []
        self.calls = 0

    def _refuse(self, some: Sequence[int], kinds: set[str]) -> None:
        self.calls += 1
        if any(self.kinds[index] in kinds for index in some):
            raise Poison("refused", "no")

    def store(self, some: Sequence[int]) -> None:
        self._refuse(some, {"cut", "guard", "other"})
        self.stored.extend(some)

    def trial(self, some: Sequence[int]) -> None:
        self._refuse(some, {"cut", "guard", "other"})

    def judge(self, some: Sequence[int]) -> Mapping[int, Poison]:
        self._refuse(some, {"cut"})
        return {index: Poison("negative", "no") for index in some if self.kinds[index] == "guard"}

    def engine(self) -> Engine:
        return Engine(self.store, self.trial, self.judge, lambda _: Poison("refused", "no"))

    def group(self) -> Group:
        values = [b"head." + (b"" if kind == "cut" else b"x") for kind in self.kinds]
        return Group(values, range(len(self.kinds)), lambda _, at: at + 1)


@given(
    st.lists(st.sampled_from(["good", "good", "good", "cut", "guard", "other"]), min_size=1, max_size=40),
    st.sampled_from(_HABITS),
    st.booleans(),
)
def test_the_good_are_stored_once_and_the_bad_are_named(
    kinds: list[str], suspects: frozenset[Step], asked_before: bool
) -> None:
    """Whatever is suspected, and whether the whole group was refused already or not."""
    model = _Model(kinds)
    refused = asked_before and set(kinds) != {"good"}
    outcome = store_good(model.group(), model.engine(), suspects, refused=refused)
    assert model.stored == [index for index, kind in enumerate(kinds) if kind == "good"]
    reasons = {"cut": "truncated", "guard": "negative", "other": "refused"}
    assert {index: poison.reason for index, poison in outcome.bad.items()} == {
        index: reasons[kind] for index, kind in enumerate(kinds) if kind != "good"
    }


@pytest.mark.parametrize(
    ("kinds", "suspects", "calls"),
    [
        (["good"], frozenset(), 1),
        (["good", "cut"], frozenset(), 2),
        (["good", "cut"], frozenset({Step.WALK}), 1),
        (["good", "guard"], frozenset({Step.JUDGE}), 2),
        (["good", "cut", "guard"], frozenset({Step.WALK, Step.JUDGE}), 2),
    ],
)
def test_what_found_something_last_time_is_asked_first(kinds: list[str], suspects: frozenset[Step], calls: int) -> None:
    """A steady share of bad records costs no insert in vain."""
    model = _Model(kinds)
    outcome = store_good(model.group(), model.engine(), suspects)
    assert model.calls == calls
    if suspects:
        assert outcome.suspects == suspects


def test_a_table_in_trouble_is_no_fault_of_the_records() -> None:
    """Where the trial takes what the table refuses, all waits and nothing is set aside."""
    model = _Model(["good", "good"])

    def broken(_: Sequence[int]) -> None:
        raise Poison("refused", "a view throws")

    engine = Engine(broken, model.trial, model.judge, lambda _: Poison("refused", "no"))
    with pytest.raises(Retryable, match="a view"):
        store_good(model.group(), engine)
    assert model.stored == []


def test_records_are_grouped_by_the_schema_in_their_frame() -> None:
    """A frame is judged once for all records that begin alike; what has none is bad."""
    values = [
        b"\x00\x00\x00\x00\x01a",
        None,
        b"\x00\x00\x00\x00\x02",
        b"\x00\x00\x00\x00\x01b",
        b"\x07\x00\x00\x00\x01",
    ]
    sifted = sift.by_schema(values)
    assert sifted.groups == {1: [0, 3], 2: [2]}
    assert {index: poison.reason for index, poison in sifted.bad.items()} == {1: "empty", 4: "not_framed"}
