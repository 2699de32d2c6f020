"""Two orders at once: what both cover is adjusted once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest
from tests.reprice.test_rerate import ALL, BEFORE, DIFFERENCE, priced, sums

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.reprice import Outcome, rerate
from taximeter_schemas.settings import ClickHouseSettings

pytestmark = pytest.mark.integration


def test_two_orders_at_once_adjust_once(clickhouse: ClickHouse, clickhouse_settings: ClickHouseSettings) -> None:
    """Both have seen the same differences before either has written one."""
    priced(clickhouse)
    database = str(clickhouse.scalar("SELECT currentDatabase()"))
    both_have_looked = Barrier(2, timeout=60)

    def order(_: int) -> Outcome:
        meetings = iter([both_have_looked])

        def meet(_: int) -> None:
            for meeting in meetings:
                meeting.wait()

        with closing(connect(clickhouse_settings, database=database)) as own:
            return rerate(own, ALL, meet)

    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(order, range(2)))
    assert sorted(bool(one.reprice_id) for one in done) == [False, True]
    assert set(sums(clickhouse).values()) == {BEFORE + DIFFERENCE}
