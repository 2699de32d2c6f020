"""How far the rollups are complete: by the ledger, and by instants at which the ends of the topic were noted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.quota.truth.world import World
from tests.rollups.calls import calls

from taximeter_consumers.quota.truth.rolled_up import Barriers, RolledUp, Stretch, advanced, new_batches_sql
from taximeter_consumers.rollups import Bounds, tick


def stretch(first: int, last: int, *, rolled_up: bool = True, old: bool = False) -> Stretch:
    """A row of the ledger."""
    return Stretch(first, last, rolled_up, old)


@pytest.mark.parametrize(
    ("stretches", "reached"),
    [
        ([], 10),
        ([stretch(10, 19), stretch(20, 29)], 30),
        ([stretch(10, 19), stretch(20, 29, rolled_up=False), stretch(30, 39)], 20),
        ([stretch(10, 19), stretch(21, 29)], 20),
        ([stretch(10, 19), stretch(21, 29, old=True)], 30),
        ([stretch(5, 19), stretch(12, 25), stretch(26, 27)], 28),
        ([stretch(10, 29, rolled_up=False), stretch(10, 19), stretch(20, 29)], 30),
    ],
)
def test_a_hole_stops_it(stretches: list[Stretch], reached: int) -> None:
    """What waits for a tick, what is not in the ledger; not what is there twice, nor a hole of more than a day."""
    assert advanced(10, stretches) == reached


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9), st.booleans()), max_size=12))
def test_everything_before_it_is_rolled_up(rows: list[tuple[int, int, bool]]) -> None:
    """No offset before the one that was reached is missing from all rolled-up ranges; it never goes back."""
    stretches = [stretch(first, first + length, rolled_up=done) for first, length, done in rows]
    reached = advanced(0, stretches)
    covered = {offset for one in stretches if one.is_rolled_up for offset in range(one.first, one.last + 1)}
    assert set(range(reached)) <= covered
    assert advanced(reached, stretches) >= reached


def test_an_instant_is_reached_when_every_partition_is_past_its_end() -> None:
    """The latest one counts; a partition without records holds nothing up; it never goes back."""
    barriers = Barriers()
    assert barriers.complete_until({}) == 0
    barriers.note(100, {0: 5, 1: 0})
    barriers.note(200, {0: 9, 1: 2})
    assert barriers.complete_until({0: 4}) == 0
    assert barriers.complete_until({0: 5}) == 100
    assert barriers.complete_until({0: 9, 1: 1}) == 100
    barriers.note(300, {0: 9, 1: 7})
    assert barriers.complete_until({0: 50, 1: 3}) == 200
    assert barriers.complete_until({}) == 200


def test_many_instants_are_thinned_out() -> None:
    """Memory is bounded while nothing is rolled up; what is then reached is an instant that was noted."""
    barriers = Barriers(most=10)
    for at in range(1, 1000):
        barriers.note(at, {0: at})
    reached = barriers.complete_until({0: 500})
    assert 0 < reached <= 500


@pytest.mark.integration
def test_a_look_reads_what_is_new_and_not_the_whole_ledger(world: World) -> None:
    """A ledger of a hundred million records in a hundred thousand batches costs a few granules of it."""
    world.clickhouse.execute(
        "INSERT INTO stored_ingest_batches"
        " (kafka_topic, kafka_partition, first_offset, last_offset, batch_id, stored_at)"
        " SELECT 'test', 0, number * 1000, number * 1000 + 999, number, now64(6) FROM numbers(100000)"
    )
    log = {"topic": "test", "log": "", "hours": 24, "partitions": [0], "offsets": [99_990_000], "page": 10}
    sql = new_batches_sql({0: 99_990_000})
    assert [row[1] for row in world.clickhouse.rows(sql, log)] == list(range(99_990_000, 100_000_000, 1000))
    read = world.clickhouse.records(f"EXPLAIN ESTIMATE {sql}", log)
    assert sum(row["rows"] for row in read if row["table"] == "stored_ingest_batches") <= 4 * 8192, read


@pytest.mark.integration
def test_offsets_follow_ledger_and_ticks(world: World) -> None:
    """Up to the first batch that no tick has recorded, and never a record further."""
    rolled_up = RolledUp(world.clickhouse, "test")
    assert rolled_up.offsets() == {}
    world.sink.store(calls(3))
    world.sink.store(calls(4, run="s"))
    assert rolled_up.offsets() == {0: 1}
    tick(world.clickhouse, Bounds(records=3))
    assert rolled_up.offsets() == {0: 4}
    tick(world.clickhouse)
    assert rolled_up.offsets() == {0: 8}
    world.sink.offset += 1
    world.use(2, run="t")
    assert rolled_up.offsets() == RolledUp(world.clickhouse, "test").offsets() == {0: 8}
    assert RolledUp(world.clickhouse, "other").offsets() == {}
