"""The rollups against the model: whatever arrives, in whatever batches, with ticks wherever."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties import on_servers
from tests.rollups.book import small_book
from tests.rollups.model import counted, rollup, run_attributes
from tests.rollups.rows import Sink
from tests.rollups.strategies import histories

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.rollups import Bounds, tick
from taximeter_consumers.rollups.definitions import ROLLUPS, Rollup
from taximeter_schemas.event import MeterEvent

pytestmark = pytest.mark.integration
RATES = small_book()


def stored_rows(clickhouse: ClickHouse, of: Rollup, account: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """A rollup's view of one account as the model writes it."""
    keys = [name for name, _ in of.key]
    rows = clickhouse.records(f"SELECT * FROM {of.name} WHERE account_id = {{account:String}}", {"account": account})
    return {
        tuple(value.replace(tzinfo=UTC) if isinstance(value := row[key], datetime) else value for key in keys): {
            name: row[name] for name, _ in of.measures
        }
        for row in rows
    }


def assert_equal(clickhouse: ClickHouse, account: str, arrived: list[MeterEvent]) -> None:
    """Every measure of every row of every rollup equals the model's, to the last digit."""
    events = counted(arrived)
    for one in ROLLUPS:
        assert stored_rows(clickhouse, one, account) == rollup(events, RATES, one.name), one.name


def test_rollups_equal_the_model(clickhouse: ClickHouse) -> None:
    """Random events, duplicates, late ones, several batches, ticks between some, events priced once for all rollups or
    for each: rollups equal dictionary sums, and no priced rows are left."""
    sink, accounts = Sink(clickhouse), count()

    @on_servers(5)
    @given(histories(), st.sampled_from((0, 3, 50_000)))
    def check(history: list[tuple[list[MeterEvent], bool]], priced_rows: int) -> None:
        account = f"account-{next(accounts)}"
        arrived: list[MeterEvent] = []
        for batch, has_tick in history:
            mine = [event.model_copy(update={"account_id": account}) for event in batch]
            sink.store(mine)
            arrived += mine
            if has_tick:
                tick(clickhouse, Bounds(priced_rows=priced_rows))
        tick(clickhouse, Bounds(priced_rows=priced_rows))
        assert clickhouse.scalar("SELECT count() FROM stored_tick_events") == 0
        assert_equal(clickhouse, account, arrived)
        rows = clickhouse.rows(
            "SELECT run_id, user_id, workflow_id, started_at, first_id_time, last_id_time FROM run_costs"
            " WHERE account_id = {account:String}",
            {"account": account},
        )
        stored = {(account, row[0]): (*row[1:3], *(moment.replace(tzinfo=UTC) for moment in row[3:])) for row in rows}
        assert stored == run_attributes(counted(arrived))

    check()
