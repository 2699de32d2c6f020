"""Sums that are being written while raw events are deleted: no work that began before loses what it counts on."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conservation.storage import Storage
from tests.retention.conftest import TODAY, event
from tests.retention.test_delete import money, runs

from taximeter_consumers import failpoints
from taximeter_consumers.clickhouse import connect
from taximeter_consumers.pricing.book import append_rates, server_time
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.pricing.rate import Rate, micros
from taximeter_consumers.reprice import order as orders
from taximeter_consumers.reprice.rerate import rerate
from taximeter_consumers.retention.delete import delete, slices
from taximeter_consumers.retention.horizon import at_work, kept_from, not_sealed
from taximeter_consumers.retention.orders import SEALED, Order, note
from taximeter_consumers.retention.texts import is_shorter
from taximeter_consumers.rollups import rebuild
from taximeter_consumers.rollups.batches import Bounds, batches_after
from taximeter_consumers.rollups.definitions import ROLLUPS
from taximeter_consumers.rollups.recompute import begin, outdated, recompute, rows_of
from taximeter_schemas.errors import Misconfigured, Retryable
from taximeter_schemas.settings import ClickHouseSettings

DAY = TODAY - timedelta(days=100)
HASHES = st.integers(0, 2**64 - 1)


@given(st.lists(HASHES, unique=True), st.lists(st.tuples(HASHES, HASHES)), st.integers(1, 5))
def test_slices_keep_all_that_is_to_be_kept(runs: list[int], events: list[tuple[int, int]], most: int) -> None:
    """Each run, and each event, is in the slice in which its rows are looked at."""
    cut = slices(runs, events, most)
    assert all(run in cut[run % len(cut)][0] for run in runs)
    assert all(kept in cut[run % len(cut)][1] for kept, run in events)
    assert sum(len(some) for some, _ in cut) == len(runs)


@pytest.mark.parametrize(
    ("days", "than", "shorter"), [(90, None, True), (30, 90, True), (90, 30, False), (None, 30, False)]
)
def test_what_empties_texts(days: int | None, than: int | None, shorter: bool) -> None:
    """Fewer days, or days instead of for ever."""
    assert is_shorter(days, than) is shorter


@pytest.mark.integration
def test_work_that_began_before_is_refused(storage: Storage) -> None:
    """It would write sums from what is left; refused, every sum is what it was."""
    clickhouse = storage.clickhouse
    before = money(storage)
    batches = batches_after(clickhouse, None, Bounds())
    assert batches is not None
    work = begin(clickhouse, rows_of(batches), current_book(clickhouse))
    assert delete(clickhouse, DAY, "t").rows == 3
    for rollup in ROLLUPS:
        with pytest.raises(Retryable):
            recompute(clickhouse, rollup, work)
    assert (outdated(clickhouse, work), money(storage)) == (True, before)


@pytest.mark.integration
@pytest.mark.parametrize("priced_rows", [50_000, 0])
def test_a_rebuild_goes_on_over_a_deletion(storage: Storage, monkeypatch: pytest.MonkeyPatch, priced_rows: int) -> None:
    """It had begun, the events went, it begins again without what is frozen; sums stay, priced once or not."""
    before, done = money(storage), []

    def reached(name: str) -> None:
        if name == "aggregate.after_begin" and not done:
            done.append(name)
            delete(storage.clickhouse, DAY, "t")

    monkeypatch.setattr(failpoints, "reached", reached)
    rebuild(storage.clickhouse, Bounds(priced_rows=priced_rows))
    assert done
    assert runs(storage) == ["late", "new0", "new1", "over"]
    assert money(storage) == before


@pytest.mark.integration
def test_a_statement_that_reads_is_waited_for(storage: Storage, clickhouse_settings: ClickHouseSettings) -> None:
    """No row goes before an insert that had begun with an earlier horizon has ended."""
    clickhouse = storage.clickhouse
    clickhouse.execute("CREATE TABLE slow (n UInt8) ENGINE = Null")
    sql = f"INSERT INTO slow SELECT sleepEachRow(0.5) FROM numbers(6) WHERE {not_sealed(0)} SETTINGS max_block_size = 1"
    other = connect(clickhouse_settings)
    ended: list[datetime] = []

    def work() -> None:
        other.execute(sql)
        ended.append(datetime.now(UTC))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while not at_work(clickhouse, micros(DAY)):
            assert thread.is_alive()
        assert delete(clickhouse, DAY, "t").rows == 3
        assert ended
    finally:
        thread.join()
        other.close()
    assert at_work(clickhouse, micros(DAY)) == 0


@pytest.mark.integration
def test_an_announced_horizon_refuses_nothing_yet(storage: Storage) -> None:
    """What began before may end; a sealed one refuses it, and what began with it goes on."""
    clickhouse, horizon = storage.clickhouse, micros(DAY)
    order = Order("t", horizon)
    for step, refused in ((1, False), (SEALED, True)):
        note(clickhouse, order, step)
        assert kept_from(clickhouse) == horizon
        assert clickhouse.scalar(f"SELECT {not_sealed(horizon)}") == 1
        if refused:
            with pytest.raises(Retryable):
                clickhouse.scalar(f"SELECT {not_sealed(0)}")
        else:
            assert clickhouse.scalar(f"SELECT {not_sealed(0)}") == 1


@pytest.mark.integration
def test_what_the_server_refuses_freezes_nothing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deletion is tried without a row before the horizon is recorded."""
    execute = storage.clickhouse.execute

    def refusing(sql: str, *more: Any) -> None:
        if "ALTER TABLE stored_events DELETE" in sql:
            raise Misconfigured("refused", mend="none")
        execute(sql, *more)

    monkeypatch.setattr(storage.clickhouse, "execute", refusing)
    with pytest.raises(Misconfigured, match="refused"):
        delete(storage.clickhouse, DAY, "t")
    assert kept_from(storage.clickhouse) == 0


@pytest.mark.integration
def test_a_deletion_asks_no_other_rows(storage: Storage) -> None:
    """Replicas may answer differently, so a replicated table refuses such a mutation. An event of which a copy came
    after the day is kept with it."""
    clickhouse = storage.clickhouse
    twice = event(storage, 305, run_id="twice")
    storage.store([twice], arrived=twice["occurred_at"])
    storage.store([twice], arrived=TODAY)
    storage.roll_up()
    before = money(storage)
    copies = "SELECT count() FROM stored_events WHERE run_id = 'twice'"
    stored = clickhouse.scalar(copies)
    delete(clickhouse, DAY, "t")
    assert (clickhouse.scalar(copies), money(storage)) == (stored, before)
    asked = "SELECT count(), countIf(command ILIKE '%SELECT%') FROM system.mutations WHERE database = currentDatabase()"
    count, asking = clickhouse.rows(asked)[0]
    assert (count > 0, asking) == (True, 0)


@pytest.mark.integration
def test_each_order_has_a_record_of_its_own(storage: Storage) -> None:
    """One that was killed stays begun with what it was to delete; the next says what it deleted."""
    clickhouse = storage.clickhouse
    note(clickhouse, Order("ada", micros(DAY), deleted=3), SEALED)
    delete(clickhouse, DAY, "bob")
    told = clickhouse.rows("SELECT by, deleted, state FROM retentions ORDER BY by")
    assert told == [("ada", 3, "begun"), ("bob", 3, "done")]


@pytest.mark.integration
def test_a_rerating_that_a_deletion_overtakes_is_refused(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its adjustments are written and count for nothing."""
    clickhouse, since = storage.clickhouse, TODAY - timedelta(days=400)
    known = server_time(clickhouse)
    price = Rate("openai", "gpt-4o", "input_tokens", Decimal("0.00001"), source="t", known_from=known)
    append_rates(clickhouse, [price])
    storage.roll_up()
    before = money(storage)

    def reached(name: str) -> None:
        if name == "reprice.slice_written":
            note(clickhouse, Order("t", micros(DAY)), SEALED)

    monkeypatch.setattr(failpoints, "reached", reached)
    with pytest.raises(Misconfigured, match="were deleted"):
        rerate(clickhouse, orders.Order(since, TODAY, by="t", reason="t"))
    assert clickhouse.rows("SELECT max(step) FROM stored_reprices") == [(1,)]
    storage.roll_up()
    assert money(storage) == before
