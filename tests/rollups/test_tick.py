"""Ticks: repeated, broken off, at once, bounded, over late and altered copies."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.rollups.calls import calls
from tests.rollups.model import counted, rollup
from tests.rollups.rows import EPOCH, Sink
from tests.rollups.test_model import RATES, assert_equal, stored_rows

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing.aliases import match_new_models
from taximeter_consumers.pricing.book import append_rates
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.pricing.rate import Rate
from taximeter_consumers.rollups import Bounds, Tick, follow, rebuild, rollup_lag_seconds, tick
from taximeter_consumers.rollups.batches import ROWS_OF_BATCHES, Batch, Batches, mark_rolled_up, new_batches
from taximeter_consumers.rollups.definitions import ROLLUPS
from taximeter_consumers.rollups.recompute import Work, begin, recompute, rows_of
from taximeter_consumers.shadow.build import BOUNDS as SHADOW_BOUNDS

pytestmark = pytest.mark.integration


def physical_rows(clickhouse: ClickHouse) -> list[int]:
    """How many rows were ever written into the tables of the rollups, as far as no merge took them."""
    return [clickhouse.scalar(f"SELECT count() FROM {one.table}") for one in ROLLUPS]


def test_a_second_tick_changes_nothing(clickhouse: ClickHouse) -> None:
    """A tick over nothing new writes nothing at all."""
    Sink(clickhouse).store(calls(5))
    assert tick(clickhouse).records == 5
    before = physical_rows(clickhouse)
    assert tick(clickhouse) == Tick()
    assert physical_rows(clickhouse) == before


def test_a_tick_of_an_empty_ledger_does_nothing(clickhouse: ClickHouse) -> None:
    """Nothing stored, nothing to do, no lag."""
    assert tick(clickhouse) == Tick()
    assert rollup_lag_seconds(clickhouse) == 0


def begun(clickhouse: ClickHouse, batches: Batches) -> Work:
    """The work of some batches, as a tick begins it."""
    return begin(clickhouse, rows_of(batches), current_book(clickhouse))


def test_a_tick_that_died_is_repeated(clickhouse: ClickHouse) -> None:
    """Whatever part of a tick was done before it died, the next one makes it right."""
    sink = Sink(clickhouse)
    for steps in (0, 1, len(ROLLUPS)):
        account = f"account-{steps}"
        events = calls(6, account=account)
        sink.store([*events[:4], *events[:1]])
        batches = new_batches(clickhouse, Bounds())
        assert batches is not None
        work = begun(clickhouse, batches)
        for one in ROLLUPS[:steps]:
            recompute(clickhouse, one, work)
        assert rollup_lag_seconds(clickhouse) > 0
        sink.store(events[4:])
        tick(clickhouse)
        assert_equal(clickhouse, account, events)
        assert rollup_lag_seconds(clickhouse) == 0


def test_a_slow_tick_never_beats_a_later_one(clickhouse: ClickHouse) -> None:
    """Two aggregators at once: the one that began first writes last, and nothing that the other one saw is lost."""
    sink, events = Sink(clickhouse), calls(9)
    sink.store(events[:3])
    slow = new_batches(clickhouse, Bounds())
    assert slow is not None
    match_new_models(clickhouse, "true", {})
    slow_work = begun(clickhouse, slow)
    recompute(clickhouse, ROLLUPS[0], slow_work)
    sink.store(events[3:6])
    tick(clickhouse)
    for one in ROLLUPS:
        recompute(clickhouse, one, slow_work)
    mark_rolled_up(clickhouse, slow, slow_work.version)
    assert_equal(clickhouse, "a", events[:6])
    sink.store(events[6:])
    tick(clickhouse)
    assert_equal(clickhouse, "a", events)


def test_a_tick_that_listed_early_and_began_late_sees_what_others_have_in_hand(clickhouse: ClickHouse) -> None:
    """The greater version wins, so it must hold the batches that another aggregator took meanwhile, finished or not."""
    sink, events = Sink(clickhouse), calls(4) + calls(4, first=600)
    sink.store(events[:4])
    late = new_batches(clickhouse, Bounds())
    sink.store(events[4:])
    other = new_batches(clickhouse, Bounds())
    assert late is not None
    assert other is not None
    match_new_models(clickhouse, "true", {})
    other_work, late_work = begun(clickhouse, other), begun(clickhouse, late)
    for one in ROLLUPS:
        recompute(clickhouse, one, late_work)
    for one in ROLLUPS:
        recompute(clickhouse, one, other_work)
    mark_rolled_up(clickhouse, other, other_work.version)
    mark_rolled_up(clickhouse, late, late_work.version)
    assert tick(clickhouse) == Tick()
    for one in ROLLUPS[:2]:
        assert stored_rows(clickhouse, one, "a") == rollup(counted(events), RATES, one.name)


def test_a_backlog_is_worked_off_in_bounded_steps(clickhouse: ClickHouse) -> None:
    """No tick takes more than its bounds, one batch aside, and together they reach the end."""
    sink, events = Sink(clickhouse), calls(12)
    for number in range(6):
        sink.store(events[2 * number : 2 * number + 2])
    taken: list[int] = []
    while (done := tick(clickhouse, Bounds(records=5, batches=10))).version is not None:
        taken.append(done.records)
    assert taken == [4, 4, 4]
    sink.store(calls(7, run="large"))
    assert tick(clickhouse, Bounds(records=5, batches=10)).records == 7
    assert_equal(clickhouse, "a", events + calls(7, run="large"))


def test_a_batch_that_shows_up_late_is_found(clickhouse: ClickHouse) -> None:
    """A batch whose stamp lies before those that are rolled up is taken all the same."""
    sink, events = Sink(clickhouse), calls(4)
    batch_id, arrived_at = sink.store_rows(events[:2])
    stamp = clickhouse.scalar("SELECT toUnixTimestamp64Micro(now64(6)) - 1800000000")
    sink.store(events[2:])
    tick(clickhouse)
    clickhouse.execute(
        "INSERT INTO stored_ingest_batches SELECT 'test', '', 0, 1, 2, {batch_id:UInt64}, 'hash', 2, 2, 0,"
        " fromUnixTimestamp64Milli({arrived:Int64}, 'UTC'), fromUnixTimestamp64Micro({stamp:Int64}, 'UTC'), 'test'",
        {"batch_id": batch_id, "arrived": int(arrived_at.timestamp() * 1000), "stamp": stamp},
    )
    assert tick(clickhouse).records == 2
    assert_equal(clickhouse, "a", events)


def test_a_replay_into_filled_tables_changes_nothing(clickhouse: ClickHouse) -> None:
    """The same events once more, under other coordinates: every number stays."""
    sink, events = Sink(clickhouse), calls(8)
    sink.store(events)
    tick(clickhouse)
    sink.store(list(reversed(events)))
    tick(clickhouse)
    assert_equal(clickhouse, "a", events)


def test_a_row_whose_last_event_moved_away_is_gone(clickhouse: ClickHouse) -> None:
    """An earlier copy that is stored later counts from then on; what the other copy had been counted under vanishes."""
    clickhouse.execute("SYSTEM STOP MERGES stored_events")
    (event,) = calls(1)
    moved = event.model_copy(update={"run_id": "other", "user_id": "bob", "occurred_at": EPOCH + timedelta(days=3)})
    Sink(clickhouse, offset=1000, batches=100).store([moved])
    tick(clickhouse)
    assert_equal(clickhouse, "a", [moved])
    Sink(clickhouse).store([event])
    tick(clickhouse)
    assert_equal(clickhouse, "a", [event])


def test_a_rebuild_prices_what_had_no_price(clickhouse: ClickHouse) -> None:
    """A price that is added afterwards reaches the stored events by a rebuild, which is also bounded in its steps."""
    sink, events = Sink(clickhouse), calls(6, model="brand-new")
    for event in events:
        sink.store([event])
    tick(clickhouse)
    assert {row["unpriced_calls"] for row in stored_rows(clickhouse, ROLLUPS[0], "a").values()} == {6}
    units = ("input_tokens", "output_tokens")
    added = [
        Rate("openai", "brand-new", unit, Decimal("0.000001"), EPOCH - timedelta(days=1), "test") for unit in units
    ]
    append_rates(clickhouse, added)
    done = rebuild(clickhouse, Bounds(records=4, batches=10))
    assert (done.batches, done.records) == (6, 6)
    priced = [*RATES, *added]
    for one in ROLLUPS:
        assert stored_rows(clickhouse, one, "a") == rollup(events, priced, one.name)
    assert tick(clickhouse) == Tick()


def test_a_rebuild_empties_rows_that_no_event_stands_behind(clickhouse: ClickHouse) -> None:
    """What was deleted from the events is gone from the rollups after a rebuild."""
    sink = Sink(clickhouse)
    sink.store(calls(2) + calls(2, run="deleted"))
    tick(clickhouse)
    clickhouse.execute("DELETE FROM stored_events WHERE run_id = 'deleted'", settings={"lightweight_deletes_sync": 2})
    rebuild(clickhouse)
    assert_equal(clickhouse, "a", calls(2))


def test_following_goes_on_until_stopped(clickhouse: ClickHouse) -> None:
    """Batches that come while it runs are rolled up, and a stop ends it between two ticks."""
    sink, stop = Sink(clickhouse), threading.Event()
    thread = threading.Thread(target=follow, args=(clickhouse, stop, 0.01))
    thread.start()
    try:
        sink.store(calls(3))
        _await_events(clickhouse, calls(3))
        sink.store(calls(3, first=3))
        _await_events(clickhouse, calls(6))
    finally:
        stop.set()
        thread.join()
    assert_equal(clickhouse, "a", calls(6))


def _await_events(clickhouse: ClickHouse, events: Sequence[Any]) -> None:
    pause = threading.Event()
    while clickhouse.scalar("SELECT sum(events) FROM usage_by_subject") != len(events):
        pause.wait(0.02)


@pytest.mark.parametrize("bounds", [Bounds(), SHADOW_BOUNDS])
def test_as_many_batches_as_a_tick_may_take_are_marked_at_once(clickhouse: ClickHouse, bounds: Bounds) -> None:
    """The server takes no parameter of more than 128 KiB."""
    most = 2**64 - 1
    rows = tuple(Batch(most - number, 1_900_000_000_000_000 + number, 0, 1) for number in range(bounds.batches))
    mark_rolled_up(clickhouse, Batches(rows), 1)
    assert clickhouse.scalar("SELECT count() FROM stored_rolled_up_batches") == bounds.batches
    assert (
        clickhouse.scalar(f"SELECT count() FROM stored_events WHERE {ROWS_OF_BATCHES}", Batches(rows).parameters) == 0
    )
