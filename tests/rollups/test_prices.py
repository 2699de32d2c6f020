"""What a changed price book does to the rollups: what had no price gets one, what was priced keeps its price."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.rollups.book import CPU, PAGE
from tests.rollups.calls import calls
from tests.rollups.model import rollup
from tests.rollups.rows import EPOCH, Sink
from tests.rollups.test_model import RATES, stored_rows

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing.book import append_discounts, append_rates, server_time
from taximeter_consumers.pricing.rate import Discount, Rate
from taximeter_consumers.rollups import Bounds, Tick, tick
from taximeter_consumers.rollups.definitions import ROLLUPS
from taximeter_schemas.event import AiUsage, CodeUsage, MeterEvent, Outcome, PluginUsage

pytestmark = pytest.mark.integration
CENT = Decimal("0.000001")


def prices(model: str, price: Decimal = CENT) -> list[Rate]:
    """Prices of a model from the beginning on."""
    return [Rate("openai", model, unit, price, source="test") for unit in ("input_tokens", "output_tokens")]


def total(clickhouse: ClickHouse, view: str = "run_costs") -> Decimal:
    """What a rollup sums up to."""
    cost = clickhouse.scalar(f"SELECT sum(cost_usd) FROM {view}")
    assert isinstance(cost, Decimal)
    return cost


def assert_told(clickhouse: ClickHouse, events: list[MeterEvent], rates: list[Rate]) -> None:
    """Every rollup equals the model at these rates."""
    for one in ROLLUPS:
        assert stored_rows(clickhouse, one, "a") == rollup(events, rates, one.name), one.name


def test_a_price_that_appears_afterwards_is_right_after_the_next_tick(clickhouse: ClickHouse) -> None:
    """Calls and a plugin's units that had no price get theirs without a rebuild, in bounded steps; the charges that
    said unpriced are gone."""
    sink = Sink(clickhouse)
    events = calls(4, model="brand-new") + calls(
        2, run="s", plugin=PluginUsage(plugin_id="scan", custom_units={"page": 3})
    )
    for event in events:
        sink.store([event])
    tick(clickhouse)
    assert_told(clickhouse, events, [*RATES])
    added = [*prices("brand-new"), Rate("plugin", "scan", "page", Decimal("0.02"), source="test")]
    append_rates(clickhouse, added)
    done = tick(clickhouse, Bounds(records=2, batches=2))
    assert (done.batches, done.repriced) == (0, len(events))
    assert_told(clickhouse, events, [*RATES, *added])
    assert clickhouse.scalar("SELECT countIf(source = 'unpriced') FROM charges") == 0
    assert tick(clickhouse) == Tick()


def test_a_correction_leaves_what_was_counted_alone(clickhouse: ClickHouse) -> None:
    """A price that is known from now on holds for calls that arrive later, however old they are, and for no other."""
    sink = Sink(clickhouse, batches=60)
    sink.store(calls(3, model="brand-new"))
    append_rates(clickhouse, prices("brand-new"))
    tick(clickhouse)
    before = total(clickhouse)
    known = EPOCH + timedelta(minutes=2)
    append_rates(clickhouse, [Rate("openai", "brand-new", "input_tokens", CENT * 5, source="test", known_from=known)])
    tick(clickhouse)
    assert total(clickhouse) == before == CENT * (3 * 1000 + 3 + 3)
    Sink(clickhouse, offset=100, batches=121).store(calls(1, run="late", model="brand-new"))
    tick(clickhouse)
    assert total(clickhouse) - before == CENT * 5 * 1000


def test_a_discount_of_an_account_reaches_its_calls_alone(clickhouse: ClickHouse) -> None:
    """Ten per cent off for one account; the other one pays the list price."""
    sink = Sink(clickhouse)
    append_rates(clickhouse, prices("brand-new"))
    append_discounts(clickhouse, [Discount("a", Decimal(10), "openai")])
    sink.store(calls(2, model="brand-new") + calls(2, account="b", model="brand-new"))
    tick(clickhouse)
    costs = dict(clickhouse.rows("SELECT account_id, sum(cost_usd) FROM run_costs GROUP BY account_id"))
    assert costs == {"a": CENT * Decimal("1801.8"), "b": CENT * 2002}
    append_discounts(clickhouse, [Discount("b", Decimal(50), known_from=server_time(clickhouse))])
    tick(clickhouse)
    assert total(clickhouse) == CENT * Decimal("3803.8")


def test_a_new_price_that_nothing_used_recomputes_nothing(clickhouse: ClickHouse) -> None:
    """The book grows, and no event is read again for it."""
    Sink(clickhouse).store(calls(2))
    tick(clickhouse)
    append_rates(clickhouse, prices("somebody-else"))
    assert tick(clickhouse) == Tick()


def test_where_the_money_of_a_node_went(clickhouse: ClickHouse) -> None:
    """Useful, retried, failed and cancelled spend are apart, and together they are the cost."""
    first, second = Outcome.ERROR, Outcome.SUCCESS
    append_rates(clickhouse, prices("brand-new"))

    def attempt(number: int, node: str, attempt: int, outcome: Outcome) -> MeterEvent:
        (call,) = calls(1, first=number, model="brand-new")
        ai = AiUsage(provider="openai", model="brand-new", input_tokens=10**number)
        return call.model_copy(update={"node_id": node, "attempt": attempt, "outcome": outcome, "ai": ai})

    events = [
        attempt(1, "retried", 1, first),
        attempt(2, "retried", 2, second),
        attempt(3, "failed", 1, Outcome.TIMEOUT),
        attempt(4, "stopped", 1, Outcome.CANCELLED),
        attempt(5, "stopped", 2, Outcome.CANCELLED),
    ]
    Sink(clickhouse).store(events)
    tick(clickhouse)
    spent = "useful_cost_usd, retried_cost_usd, failed_cost_usd, cancelled_cost_usd, wasted_cost_usd, cost_usd"
    rows = clickhouse.rows(f"SELECT {spent} FROM run_costs")
    assert [cost / CENT for cost in rows[0]] == [100, 10, 1_000, 110_000, 111_010, 111_110]
    assert_told(clickhouse, events, [*RATES, *prices("brand-new")])


def test_the_whole_cost_of_an_event_says_how_it_is_known(clickhouse: ClickHouse) -> None:
    """A run's cost has its calls, its plugin's units and its CPU time; a source that differs makes the row mixed."""
    paid = AiUsage(provider="openai", model="gpt-4o", input_tokens=1, reported_cost=Decimal("0.5"))
    more = {"plugin": PluginUsage(plugin_id="ocr", custom_units={"page": 2}), "code": CodeUsage(cpu_us=10**9)}
    Sink(clickhouse).store(calls(1, ai=paid, **more) + calls(1, run="plain", ai=paid))
    tick(clickhouse)
    columns = "cost_source, cost_usd, model_cost_usd, plugin_cost_usd, resource_cost_usd, reported_cost_usd"
    rows = clickhouse.rows(f"SELECT {columns} FROM run_costs ORDER BY run_id")
    half = Decimal("0.5")
    assert PAGE.usd_per_unit is not None
    assert CPU.usd_per_unit is not None
    plugin, cpu = 2 * PAGE.usd_per_unit, CPU.usd_per_unit * 10**9
    assert rows == [("reported", half, half, 0, 0, half), ("mixed", half + plugin + cpu, half, plugin, cpu, half)]
