"""The gate between accidents and a flood of bad records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.sink.flood import Flood, FloodGate


def test_the_first_bad_record_of_a_quiet_topic_stops_nothing() -> None:
    """A partition with few records is judged as if a whole window had been good."""
    gate = FloodGate(rate=0.01, window=1_000)
    for _ in range(10):
        assert gate.passes(0, records=1, bad=1) is None
    flood = gate.passes(0, records=1, bad=1)
    assert flood == Flood(11, 11)
    assert str(flood) == "11 of the last 11 records cannot be stored"


def test_good_records_make_up_for_bad_ones() -> None:
    """The share counts, over the last records: what lies behind the window is forgotten."""
    gate = FloodGate(rate=0.01, window=1_000)
    assert gate.passes(0, records=1_000, bad=10) is None
    for _ in range(10):
        assert gate.passes(0, records=100, bad=0) is None
    assert gate.passes(0, records=100, bad=10) is None
    assert gate.passes(0, records=100, bad=1) is not None


def test_a_good_batch_always_passes() -> None:
    """After a flood, batches without bad records are nothing to stop for."""
    gate = FloodGate(rate=0.0, window=10)
    assert gate.passes(0, records=5, bad=1) is not None
    assert gate.passes(0, records=5, bad=0) is None


def test_partitions_are_counted_apart() -> None:
    """A flood in one partition says nothing of another."""
    gate = FloodGate(rate=0.1, window=10)
    assert gate.passes(0, records=10, bad=10) is not None
    assert gate.passes(1, records=10, bad=1) is None


_BATCHES = st.lists(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), max_size=40)


@given(_BATCHES, st.integers(1, 60), st.sampled_from([0.0, 0.01, 0.3, 0.5, 1.0]))
def test_the_gate_agrees_with_a_count_of_the_last_batches(
    batches: list[tuple[int, int]], window: int, rate: float
) -> None:
    """Against a model that keeps every batch: the last ones that together have a window of records are judged."""
    gate, seen = FloodGate(rate, window), list[tuple[int, int]]()
    for records, bad in batches:
        seen.append((records, bad))
        last: list[tuple[int, int]] = []
        for one in reversed(seen):
            last.append(one)
            if sum(count for count, _ in last) >= window:
                break
        count, wrong = (sum(column) for column in zip(*last, strict=True))
        expected = Flood(wrong, count) if bad and wrong > rate * max(count, window) else None
        assert gate.passes(3, records, bad) == expected
        if rate == 1.0:
            assert expected is None


@pytest.mark.parametrize("batch", [10, 1_000, 100_000])
def test_half_of_the_records_bad_is_a_flood_at_any_size_of_batch(batch: int) -> None:
    """A batch that is larger than the window is judged as a whole."""
    assert FloodGate(rate=0.3, window=10).passes(0, records=batch, bad=batch // 2) is not None
