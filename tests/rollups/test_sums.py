"""One number wherever you look: nodes, runs, days, billing periods, models and the rest, charges, to the last digit,
whatever arrives in whatever order."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties import on_servers
from tests.rollups.rows import Sink
from tests.rollups.strategies import events

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.rollups import tick
from taximeter_schemas.event import MeterEvent

pytestmark = pytest.mark.integration

VIEWS = ("node_costs", "run_costs", "usage_by_subject", "account_days", "user_days", "period_costs", "charges")


def sums(clickhouse: ClickHouse, account: str) -> dict[str, Decimal]:
    """What each view sums up to for an account."""
    of_account = {"account": account}
    found = {
        view: clickhouse.scalar(f"SELECT sum(cost_usd) FROM {view} WHERE account_id = {{account:String}}", of_account)
        for view in VIEWS
    }
    beside = "SELECT sum(plugin_cost_usd + resource_cost_usd) FROM usage_by_subject WHERE account_id = {account:String}"
    models = "SELECT sum(cost_usd) FROM model_costs WHERE account_id = {account:String}"
    return {**found, "models": clickhouse.scalar(models, of_account) + clickhouse.scalar(beside, of_account)}


def test_every_sum_is_the_same_in_any_order(clickhouse: ClickHouse) -> None:
    """The same events in two orders, cut into batches anyhow, some twice, ticks between: one sum for both accounts."""
    sink, numbers = Sink(clickhouse), count()

    @on_servers(4)
    @given(st.lists(events(), min_size=4, max_size=12, unique_by=lambda event: event.event_id), st.data())
    def check(made: list[MeterEvent], data: st.DataObject) -> None:
        number = next(numbers)
        orders = {f"plain-{number}": made, f"shuffled-{number}": data.draw(st.permutations([*made, *made[:3]]))}
        for account, order in orders.items():
            mine = [event.model_copy(update={"account_id": account}) for event in order]
            cut = data.draw(st.integers(1, len(mine) - 1))
            sink.store(mine[:cut])
            if data.draw(st.booleans()):
                tick(clickhouse)
            sink.store(mine[cut:])
        tick(clickhouse)
        found = [sums(clickhouse, account) for account in orders]
        assert found[0] == found[1]
        assert len(set(found[0].values())) == 1

    check()
