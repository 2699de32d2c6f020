"""How much a tick takes, and how long the aggregator waits: pure decisions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.rollups.batches import Batch, Bounds, within
from taximeter_consumers.rollups.follow import LONGEST_WAIT_SECONDS, wait_after_failures


@given(st.lists(st.integers(0, 100)), st.integers(1, 200), st.integers(1, 10))
def test_a_tick_takes_the_longest_beginning_within_its_bounds(sizes: list[int], records: int, batches: int) -> None:
    """Always one batch, never more batches than allowed, and more records only where a single batch has them."""
    found = [Batch(number, number, number, size) for number, size in enumerate(sizes)]
    taken = within(found, Bounds(records, batches))
    if taken is None:
        assert not found
        return
    count = len(taken.rows)
    assert list(taken.rows) == found[:count]
    assert count <= batches
    assert count == 1 or taken.records <= records
    assert count in (len(found), batches) or taken.records + found[count].records > records


@given(st.integers(0, 10**6), st.floats(0, 30))
def test_waits_grow_and_stay_bounded(failures: int, interval: float) -> None:
    """Each failure waits at least as long as the one before, never beyond the bound."""
    wait, longer = wait_after_failures(failures, interval), wait_after_failures(failures + 1, interval)
    assert 0 < wait <= longer <= LONGEST_WAIT_SECONDS
