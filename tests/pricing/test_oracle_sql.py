"""Three ways to one price: the SQL that fills the rollups, our Python, and `genai-prices` itself, over random calls of
every packaged model. Equal to the last digit; `test_oracle` names what may differ from the package."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from tests.pricing.test_oracle import ours_and_theirs, slack
from tests.rollups.rows import Sink

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing.book import append_rates
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.pricing.charged import charged_events
from taximeter_consumers.pricing.estimate import Estimate
from taximeter_consumers.pricing.packaged import ROUNDED, packaged_rates, providers
from taximeter_consumers.pricing.rate import EPOCH, Rate
from taximeter_consumers.pricing.units import UNIT
from taximeter_schemas.event import AiUsage, MeterEvent
from taximeter_schemas.uuid7 import compose

pytestmark = pytest.mark.integration


def event_of(found: Estimate, number: int) -> MeterEvent:
    """The estimated call as if it had been made at that instant."""
    units = found.call.units
    fields: dict[str, Any] = {UNIT[name].column: count for name, count in units.items() if UNIT[name].column}
    beside = {name: count for name, count in units.items() if not UNIT[name].column}
    call = found.call
    return MeterEvent(
        account_id="a",
        event_id=compose(number, b"0123456789"),
        occurred_at=found.at,
        ai=AiUsage(provider=call.provider, model=call.model, service_tier=call.service_tier, units=beside, **fields),
    )


def test_sql_python_and_the_package_agree(clickhouse: ClickHouse) -> None:
    """A random call of each of two thousand models, at a random instant, in a random service tier."""
    rates = packaged_rates()
    append_rates(clickhouse, rates)
    by_model: dict[tuple[str, str], list[Rate]] = {}
    for rate in rates:
        by_model.setdefault((rate.provider, rate.model), []).append(rate)
    names = [(*name, *name, EPOCH) for name in by_model]
    clickhouse.insert("stored_model_aliases", ("provider", "model", "book_provider", "book_model", "matched_at"), names)
    random, made, theirs = Random(11), {}, {}
    for provider in providers().values():
        for model in provider.models:
            if own := by_model.get((provider.id, model.id)):
                found, price = ours_and_theirs(provider, model, own, random)
                event = event_of(found, len(made))
                rounded = {rate.unit for rate in own if rate.source.endswith(ROUNDED)}
                made[event.event_id] = (event, found)
                theirs[event.event_id] = (price, slack(found, rounded))
    Sink(clickhouse).store_rows([event for event, _ in made.values()])
    query = charged_events("true", current_book(clickhouse))
    told = {row[0]: row[1:] for row in clickhouse.rows(f"SELECT event_id, cost, cost_source FROM ({query})")}
    assert [found.call for key, (_, found) in made.items() if told[key] != (found.cost_usd, found.cost_source)] == []
    priced = {key: cost for key, (cost, source) in told.items() if source == "priced"}
    assert [made[key][1].call for key, cost in priced.items() if abs(cost - theirs[key][0]) > theirs[key][1]] == []
    assert len(priced) > 1_800
    assert sum(priced.values(), Decimal(0)) > 0
