"""Re-rating where others are at it as well, where a copy changes the event, and where a price was lacking."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.reprice.test_rerate import ALL, BEFORE, CENT, DIFFERENCE, priced, sums
from tests.rollups.calls import calls
from tests.rollups.rows import EPOCH, Sink

from taximeter_consumers import failpoints
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing.book import append_rates, server_time
from taximeter_consumers.pricing.rate import Rate
from taximeter_consumers.reprice import rerate
from taximeter_consumers.rollups import tick
from taximeter_schemas.event import CodeUsage, PluginUsage

pytestmark = pytest.mark.integration


def test_two_reratings_at_once_adjust_once(clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that ends later has counted with a cost that the other one has changed meanwhile, so it starts again and
    finds nothing left to do."""
    priced(clickhouse)
    inside: list[str] = []

    def another(reached: str) -> None:
        if reached == "reprice.slice_written" and not inside:
            inside.append(reached)
            rerate(clickhouse, ALL)

    monkeypatch.setattr(failpoints, "reached", another)
    assert rerate(clickhouse, ALL).reprice_id == ""
    assert inside
    assert set(sums(clickhouse).values()) == {BEFORE + DIFFERENCE}
    assert clickhouse.rows("SELECT step, count() FROM reprices GROUP BY step ORDER BY step") == [(1, 1), (3, 1)]


def test_an_adjustment_follows_its_event_to_another_run_and_hour(clickhouse: ClickHouse) -> None:
    """A copy that wins later has another run and another time; the adjustment is of the event, wherever it is by now,
    also once the new window alone is worked on."""
    units = ("input_tokens", "output_tokens")
    append_rates(clickhouse, [Rate("openai", "brand-new", unit, CENT, source="test") for unit in units])
    (first,) = calls(1, model="brand-new", transaction_id="t1")
    winner = first.model_copy(update={"run_id": "elsewhere", "occurred_at": EPOCH + timedelta(hours=5)})
    Sink(clickhouse, offset=100, batches=1).store([first])
    tick(clickhouse)
    append_rates(
        clickhouse,
        [Rate("openai", "brand-new", "input_tokens", CENT * 3, source="test", known_from=server_time(clickhouse))],
    )
    rerate(clickhouse, ALL)
    assert set(sums(clickhouse).values()) == {CENT * 3 * 1_000}
    Sink(clickhouse, batches=2).store([winner])
    tick(clickhouse)
    assert set(sums(clickhouse).values()) == {CENT * 3 * 1_000}
    (more,) = calls(1, first=301, run="elsewhere", model="brand-new", transaction_id="t1")
    Sink(clickhouse, offset=200, batches=3).store([more])
    tick(clickhouse)
    assert set(sums(clickhouse).values()) == {CENT * (3 * 1_000 + 1_301 + 301)}
    assert rerate(clickhouse, ALL).summary.total.amount_usd == CENT * 2 * 1_301


def test_a_call_that_lacked_one_price_is_adjusted_to_its_whole_price(clickhouse: ClickHouse) -> None:
    """What the book had of its prices at first is not counted beside the adjustment; a second order finds nothing."""
    append_rates(clickhouse, [Rate("openai", "brand-new", "input_tokens", CENT, source="test")])
    Sink(clickhouse).store(calls(2, first=1, model="brand-new", transaction_id="t1"))
    tick(clickhouse)
    assert set(sums(clickhouse).values()) == {Decimal(0)}
    now = server_time(clickhouse)
    append_rates(clickhouse, [Rate("openai", "brand-new", "output_tokens", CENT * 2, source="test", known_from=now)])
    rerate(clickhouse, ALL)
    assert set(sums(clickhouse).values()) == {CENT * (1_001 + 1_002 + 2 * 3)}
    assert rerate(clickhouse, ALL).reprice_id == ""
    assert clickhouse.rows("SELECT DISTINCT unit, source FROM charges") == [("calls", "adjusted")]
    assert clickhouse.rows("SELECT cost_source, priced_calls, unpriced_calls FROM run_costs") == [("priced", 2, 0)]


def test_adjusting_another_part_gives_no_price_to_a_call_without_one(clickhouse: ClickHouse) -> None:
    """The CPU time is re-rated; the call beside it stays unpriced, and no part of it is in a sum."""
    append_rates(clickhouse, [Rate("openai", "brand-new", "input_tokens", CENT, source="test")])
    Sink(clickhouse).store(calls(1, first=1, model="brand-new", code=CodeUsage(cpu_us=1_000), transaction_id="t1"))
    tick(clickhouse)
    now = server_time(clickhouse)
    append_rates(clickhouse, [Rate("resource", "", "cpu_us", CENT, source="test", known_from=now)])
    rerate(clickhouse, ALL)
    assert set(sums(clickhouse).values()) - {Decimal(0)} == {CENT * 1_000}
    assert clickhouse.rows("SELECT cost_source, unpriced_calls FROM run_costs") == [("mixed", 1)]
    assert rerate(clickhouse, ALL).reprice_id == ""


def test_a_plugin_that_lacked_a_price_is_priced_once_it_is_adjusted(clickhouse: ClickHouse) -> None:
    """One unit had a price and the other one none; afterwards the use is priced as a whole, and counted once."""
    append_rates(clickhouse, [Rate("plugin", "scan", "page", CENT, source="test")])
    plugin = PluginUsage(plugin_id="scan", custom_units={"page": 3, "stamp": 2})
    Sink(clickhouse).store(calls(1, ai=None, plugin=plugin, transaction_id="t1"))
    tick(clickhouse)
    now = server_time(clickhouse)
    append_rates(clickhouse, [Rate("plugin", "scan", "stamp", CENT, source="test", known_from=now)])
    rerate(clickhouse, ALL)
    costs = sums(clickhouse)
    assert {name: cost for name, cost in costs.items() if name != "model_costs"} == dict.fromkeys(
        ("run_costs", "node_costs", "usage_by_subject", "charges", "quota_usage", "transaction_usage"), CENT * 5
    )
    assert rerate(clickhouse, ALL).reprice_id == ""
    assert clickhouse.rows("SELECT unpriced_plugins, cost_source FROM run_costs") == [(0, "priced")]
