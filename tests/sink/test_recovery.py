"""What a new owner takes up, and where it begins to read."""

from __future__ import annotations

import pytest

from taximeter_consumers.sink.intent import Slice, Standing
from taximeter_consumers.sink.recovery import Rebuild, Start, Trouble, start_of, to_rebuild, without

A, B, C = Slice(0, 10, 19), Slice(1, 5, 9), Slice(2, 0, 3)
LATER = Slice(0, 20, 29)


@pytest.mark.parametrize(
    ("standing", "log", "stored_to", "expected"),
    [
        (Standing(-1), "log", None, Start(None)),
        (Standing(-1001), "log", 70, Start(None)),
        (Standing(40, "log"), "log", 39, Start(40)),
        # Its own commit is right whatever the ledger says: a crash before the commit, a ledger that lost rows.
        (Standing(40, "log"), "log", 99, Start(40)),
        (Standing(40, "log"), "log", None, Start(40)),
        (Standing(40, "old"), "log", None, Start(None, Trouble.ANOTHER_LOG)),
        # A broker without identities, before or now: nothing can be compared.
        (Standing(40, ""), "log", None, Start(40)),
        (Standing(40, "log"), "", None, Start(40)),
        # A commit that is not the sink's: the ledger is asked.
        (Standing(40), "log", 39, Start(40)),
        (Standing(40), "log", None, Start(40)),
        (Standing(41), "log", 39, Start(41, Trouble.SKIPPED)),
        (Standing(39), "log", 39, Start(39, Trouble.SET_BACK)),
        (Standing(0), "log", 39, Start(0, Trouble.SET_BACK)),
    ],
)
def test_where_reading_begins(standing: Standing, log: str, stored_to: int | None, expected: Start) -> None:
    """At the committed offset; at the log's beginning where there is none or it belongs to another log."""
    assert start_of(standing, log, stored_to) == expected


def test_every_trouble_says_what_it_means_for_the_records() -> None:
    """An operator reads what is lost, what is read again, and why."""
    assert {trouble: trouble.value.split(":")[1] != "" for trouble in Trouble} == dict.fromkeys(Trouble, True)


def test_a_bundle_whose_partitions_all_come_is_rebuilt_whole() -> None:
    """After a restart each bundle is rebuilt once, in the order of its partitions' offsets."""
    standings = {
        1: Standing(5, "log", ((A, B),)),
        0: Standing(10, "log", ((A, B), (LATER,))),
    }
    assert to_rebuild(standings) == [Rebuild((A, B), torn=False), Rebuild((LATER,), torn=False)]


def test_a_bundle_whose_partitions_come_apart_is_torn() -> None:
    """Each owner rebuilds its own slices alone, a piece for each."""
    announced = ((A, B, C),)
    apart = {0: Standing(10, "log", announced), 1: Standing(5, "log", announced)}
    assert to_rebuild(apart) == [Rebuild((A,), torn=True), Rebuild((B,), torn=True)]


def test_a_bundle_of_which_a_partition_has_moved_on_is_torn() -> None:
    """What one partition has committed already is not cut again; the others' slices may be stored with it."""
    assert to_rebuild({0: Standing(10, "log", ((A, B),)), 1: Standing(10, "log", ())}) == [Rebuild((A,), torn=True)]


def test_nothing_announced_is_nothing_to_rebuild() -> None:
    """A clean stop leaves no work."""
    assert to_rebuild({0: Standing(10, "log"), 1: Standing(-1)}) == []


def test_a_bundle_loses_the_slices_of_partitions_that_leave() -> None:
    """Before it was read again one partition goes to another sink: the others' slices are still rebuilt, as pieces."""
    rebuilds = [Rebuild((A, B, C), torn=False), Rebuild((LATER,), torn=False)]
    assert without(rebuilds, {1}) == [
        Rebuild((A,), torn=True),
        Rebuild((C,), torn=True),
        Rebuild((LATER,), torn=False),
    ]
    assert without(rebuilds, {0}) == [Rebuild((B,), torn=True), Rebuild((C,), torn=True)]
    assert without(rebuilds, {7}) == rebuilds
    assert without(rebuilds, {0, 1, 2}) == []
