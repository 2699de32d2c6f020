"""A price book that changes at awkward moments, and books that are large: the rollups are right all the same."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.rollups.calls import calls
from tests.rollups.rows import EPOCH, Sink
from tests.rollups.test_prices import CENT, prices, total

from taximeter_consumers import failpoints
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing.book import append_discounts, append_rates
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.pricing.rate import Discount, Rate
from taximeter_consumers.rollups import Bounds, tick
from taximeter_consumers.rollups.batches import batches_after
from taximeter_consumers.rollups.definitions import CHARGES
from taximeter_consumers.rollups.recompute import begin, recompute, rows_of
from taximeter_schemas.event import PluginUsage

pytestmark = pytest.mark.integration


class Died(Exception):
    """The process ended here."""


@pytest.mark.parametrize("first", [True, False])
def test_a_price_that_comes_after_a_tick_died(
    clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch, *, first: bool
) -> None:
    """A tick has rolled up a new name, and dies before it looks at the book again; the price that comes then reaches
    these calls too, whether or not any tick ended before."""
    if not first:
        tick(clickhouse)
    Sink(clickhouse).store(calls(2, model="brand-new"))

    def die(reached: str) -> None:
        if reached == "aggregate.after_record":
            raise Died

    with monkeypatch.context() as patched:
        patched.setattr(failpoints, "reached", die)
        with pytest.raises(Died):
            tick(clickhouse)
    assert total(clickhouse) == 0
    append_rates(clickhouse, prices("brand-new"))
    tick(clickhouse)
    assert total(clickhouse) == CENT * 2_002
    assert total(clickhouse, "charges") == CENT * 2_002


def test_rows_that_a_slower_tick_wrote_late_are_emptied(clickhouse: ClickHouse) -> None:
    """Two aggregators: the one with the lesser version read before a copy of an event came and writes after the other
    one has emptied what vanished."""
    Sink(clickhouse).store(calls(1))
    tick(clickhouse)
    batches = batches_after(clickhouse, None, Bounds())
    assert batches is not None
    slow = begin(clickhouse, rows_of(batches), current_book(clickhouse))
    Sink(clickhouse, offset=50, batches=1).store(calls(1, first=1))
    tick(clickhouse)
    before = total(clickhouse, "charges")
    key = "account_id, quarter, context, workflow_id, provider, model, unit, service_tier, source, usd_per_unit"
    stale = f"SELECT {key.replace('workflow_id', repr('gone'))}, 1, 1, 1, {slow.version} FROM charges LIMIT 1"
    clickhouse.execute(f"INSERT INTO stored_charges ({key}, events, quantity, cost_usd, version) {stale}")
    assert total(clickhouse, "charges") == before + 1
    recompute(clickhouse, CHARGES, slow)
    assert total(clickhouse, "charges") == before


def test_a_price_that_ends_and_a_repeated_insert_are_noticed(clickhouse: ClickHouse) -> None:
    """By a process that has compiled the book before: rows without a price count as a change, and equal rows too."""
    Sink(clickhouse).store(calls(1, model="brand-new"))
    tick(clickhouse)
    rates = prices("brand-new")
    append_rates(clickhouse, rates)
    clickhouse.execute("INSERT INTO stored_prices SELECT * FROM stored_prices WHERE model = 'brand-new'")
    tick(clickhouse)
    assert total(clickhouse) == CENT * 1_000
    known = EPOCH - timedelta(days=1)
    append_rates(clickhouse, [Rate("openai", "brand-new", "input_tokens", None, source="test", known_from=known)])
    tick(clickhouse)
    assert total(clickhouse) == 0


def test_a_change_for_many_accounts_is_worked_in(clickhouse: ClickHouse) -> None:
    """Thousands of accounts get a discount at once; naming them all would be longer than the server takes."""
    append_rates(clickhouse, prices("brand-new"))
    Sink(clickhouse).store(calls(1, model="brand-new"))
    tick(clickhouse)
    accounts = ["a", *(f"{'account':_>40}-{number}" for number in range(4_000))]
    append_discounts(clickhouse, [Discount(account, Decimal(50)) for account in accounts])
    tick(clickhouse)
    assert total(clickhouse) == CENT * 500


def test_a_discount_on_a_plugin_is_as_exact_as_its_amounts(clickhouse: ClickHouse) -> None:
    """Units of a plugin and their prices have nine places, the reduced ones too: quantity times price is the cost."""
    append_rates(clickhouse, [Rate("plugin", "scan", "page", Decimal("0.000001501"), source="test")])
    append_discounts(clickhouse, [Discount("a", Decimal("12.5"), "plugin")])
    Sink(clickhouse).store(calls(1, ai=None, plugin=PluginUsage(plugin_id="scan", custom_units={"page": 3})))
    tick(clickhouse)
    rows = clickhouse.rows("SELECT usd_per_unit, quantity, cost_usd FROM charges WHERE provider = 'plugin'")
    assert rows == [(Decimal("0.000001313"), 3, Decimal("0.000003939"))]


def test_long_work_shows_that_it_goes_on(clickhouse: ClickHouse) -> None:
    """A price that touches two days is worked in by two steps, and whoever watches hears of each."""
    Sink(clickhouse).store([*calls(1, model="brand-new"), *calls(1, model="brand-new", first=5_000)])
    tick(clickhouse)
    append_rates(clickhouse, prices("brand-new"))
    turns: list[None] = []
    assert tick(clickhouse, Bounds(records=1), lambda: turns.append(None)).repriced == 2
    assert len(turns) == 2
