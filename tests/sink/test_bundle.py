"""When waiting records become a bundle, and which of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sink.records import message

from taximeter_consumers.sink.batch import Batch
from taximeter_consumers.sink.bundle import Bundle, CutPolicy, Held, Place, aligned
from taximeter_consumers.sink.intent import MOST_SLICES
from taximeter_consumers.sink.partition import Partition
from taximeter_consumers.sink.workbench import Workbench

POLICY = CutPolicy(records=100, bytes=10_000, age_seconds=0.05, patient_seconds=1.0, parts_per_second=9.5)


@st.composite
def _held(draw: st.DrawFn, most: int = 80) -> list[Held]:
    one = st.tuples(st.integers(1, 300), st.integers(0, 20_000), st.floats(0, 100, allow_nan=False))
    return [Held(number, *held) for number, held in enumerate(draw(st.lists(one, min_size=1, max_size=most)))]


@given(_held(), st.integers(1, 200), st.integers(1, 20_000))
def test_a_bundle_keeps_its_bounds(held: list[Held], records: int, size: int) -> None:
    """At least one record, at most the bounds in records, bytes (by each partition's average) and slices.

    A single record may be larger than the bound of bytes: then it goes alone.
    """
    policy = CutPolicy(records, size, 0.05, 1.0, 9.5)
    shares = policy.shares(held)
    of = {one.partition: one for one in held}
    assert 1 <= len(shares) <= MOST_SLICES
    assert all(1 <= given <= of[number].records for number, given in shares.items())
    assert sum(shares.values()) <= records
    taken = sum(of[number].bytes * given // of[number].records for number, given in shares.items())
    assert taken <= size or sum(shares.values()) == 1


@given(_held(), st.integers(1, 200), st.integers(1, 20_000))
def test_the_oldest_go_first(held: list[Held], records: int, size: int) -> None:
    """Who is left out has not waited longer than anyone who is in."""
    shares = CutPolicy(records, size, 0.05, 1.0, 9.5).shares(held)
    by_age = sorted(held, key=lambda one: (one.since, one.partition))
    assert list(shares) == [one.partition for one in by_age[: len(shares)]]


@given(st.lists(st.integers(1, 500), min_size=2, max_size=100), st.integers(1, 50), st.integers(0, 3))
def test_no_partition_starves(loads: list[int], records: int, inflow: int) -> None:
    """However uneven the load, over repeated cuts every partition that waits gets its turn before any gets two more."""
    policy = CutPolicy(records, 10**9, 0.05, 1.0, 9.5)
    waiting, since = dict(enumerate(loads)), dict.fromkeys(range(len(loads)), 0.0)
    turn: list[int] = []
    for now in range(1, 2 * len(loads) + 1):
        shares = policy.shares([Held(number, waiting[number], 0, since[number]) for number in waiting])
        for number, rows in shares.items():
            turn.append(number)
            # It is filled up again at once, and waits anew.
            waiting[number], since[number] = max(waiting[number] - rows, 0) + 1 + inflow, float(now)
        if len(turn) >= len(loads):
            break
    assert set(turn) == set(range(len(loads)))
    assert max(turn.count(number) for number in waiting) <= 2


def test_a_bundle_is_due_by_age_or_when_it_is_full() -> None:
    """A lone record goes after the age, more patiently while far more lies in Kafka; a full bundle goes at once."""
    assert not POLICY.due([], now=10.0, behind=0)
    lone = [Held(0, 1, 10, since=10.0)]
    assert not POLICY.due(lone, now=10.04, behind=0)
    assert POLICY.due(lone, now=10.06, behind=100)
    assert not POLICY.due(lone, now=10.9, behind=101)
    assert POLICY.due(lone, now=11.0, behind=10**9)
    assert POLICY.due([*lone, Held(1, 99, 0, since=10.0)], now=10.0, behind=10**9)
    assert POLICY.due([*lone, Held(1, 1, 9_990, since=10.0)], now=10.0, behind=10**9)
    assert not POLICY.due([*lone, Held(1, 98, 9_989, since=10.0)], now=10.0, behind=0)


@given(st.floats(0.1, 1_000), st.lists(st.floats(0.01, 1), min_size=1, max_size=20), st.floats(2, 100))
def test_all_sinks_together_keep_the_rate_of_parts(rate: float, weights: list[float], parts: float) -> None:
    """However many parts a bundle makes; sinks whose shares make up the topic make no more than the rate together."""
    policy = CutPolicy(1, 1, 0.05, 1.0, rate)
    shares = [weight / sum(weights) for weight in weights]
    assert sum(parts / policy.interval(share, parts) for share in shares) == pytest.approx(rate)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 0.8), st.integers(0, 3), st.integers(0, 250)), min_size=1, max_size=120),
    st.sampled_from([1.0, 0.5, 0.25]),
    st.integers(0, 10**6),
)
def test_any_pattern_of_arrivals_keeps_the_rate_of_parts(
    arrivals: list[tuple[float, int, int]], share: float, unread: int
) -> None:
    """On a simulated clock: over any window there is at most one bundle more than the rate allows."""
    partitions = {number: Partition("t", number, 0) for number in range(4)}
    bench, now, cuts = Workbench(POLICY, 3, "log"), 0.0, list[float]()
    for pause, number, count in arrivals:
        now += pause
        if count:
            first = partitions[number].next_offset
            partitions[number].offer([message(number, first + index) for index in range(count)], now)
        while (bundle := bench.cut(partitions, now, share=share, unread=unread, all_of_it=False)) is not None:
            cuts.append(now)
            bench.ended(bundle.batches)
            for batch in bundle.batches:
                bench.landed(partitions[batch.partition].stored(batch))
    bundles_per_second = POLICY.parts_per_second / 2 * share
    for begin, at in enumerate(cuts):
        for end in range(begin, len(cuts)):
            assert end - begin <= (cuts[end] - at) * bundles_per_second + 1e-6


@given(st.integers(0, 10**12), st.integers(1, 10_000), st.integers(1, 5_000))
def test_aligned_batches_end_at_multiples(first: int, records: int, width: int) -> None:
    """At least one record, never past the next multiple of the width."""
    rows = aligned(first, records, width)
    assert 1 <= rows <= records
    assert (first + rows - 1) // width == first // width


def _batch(partition: int, offsets: list[int], spoil: bytes = b"") -> Batch:
    values = [b"%d/%d" % (partition, offset) + spoil for offset in offsets]
    return Batch("t", partition, offsets, values, [1_000] * len(offsets))


def test_equal_content_has_an_equal_identity() -> None:
    """By whomever it was cut; other offsets, other bytes and other partitions have another one."""
    bundle = Bundle((_batch(0, [1, 2, 5]), _batch(3, [7])))
    assert Bundle((_batch(0, [1, 2, 5]), _batch(3, [7])), announced_before=True).identity == bundle.identity
    assert str(bundle) == "0:1-5,3:7-7"
    others = [
        Bundle((_batch(0, [1, 2, 5]),)),
        Bundle((_batch(0, [1, 2, 6]), _batch(3, [7]))),
        Bundle((_batch(0, [1, 2, 5]), _batch(4, [7]))),
        Bundle((_batch(0, [1, 2, 5], b"!"), _batch(3, [7]))),
    ]
    assert len({bundle.identity, *(other.identity for other in others)}) == 5


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.randoms())
def test_every_record_of_a_bundle_has_its_place(sizes: list[int], draw: random.Random) -> None:
    """The index into all values leads to the batch and the record that it came from, and no further."""
    bundle = Bundle(tuple(_batch(number, list(range(size))) for number, size in enumerate(sizes)))
    assert bundle.records == len(bundle.values) == sum(sizes)
    index = draw.randrange(bundle.records)
    place = bundle.place(index)
    assert isinstance(place, Place)
    assert bundle.batches[place.batch].values[place.record] == bundle.values[index]
    with pytest.raises(IndexError):
        bundle.place(bundle.records)
