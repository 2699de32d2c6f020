"""The SQL price and the Python price are one rule: equal to the last digit on thousands of random uses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from tests.pricing.use import BOOK, CHANGE, DISCOUNTS, PAIRS, PRICE, prices_of, random_event
from tests.rollups.rows import Sink

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing.book import append_discounts, append_rates
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.pricing.charged import charged_events
from taximeter_consumers.pricing.price import Charge, cost_of
from taximeter_consumers.pricing.rate import EPOCH
from taximeter_schemas.event import AiUsage, MeterEvent
from taximeter_schemas.uuid7 import compose

pytestmark = pytest.mark.integration

Told = dict[Any, tuple[Decimal, str, str, str, list[tuple[Any, ...]]]]


@pytest.fixture
def book(clickhouse: ClickHouse) -> ClickHouse:
    """A connection to a database with the tests' own book."""
    append_rates(clickhouse, BOOK)
    append_discounts(clickhouse, DISCOUNTS)
    names = [(*pair, *(pair if pair[0] == "lab" else ("", "")), EPOCH) for pair in PAIRS]
    columns = ("provider", "model", "book_provider", "book_model", "matched_at")
    clickhouse.insert("stored_model_aliases", columns, names)
    return clickhouse


def told_by_sql(clickhouse: ClickHouse) -> Told:
    """What the SQL says of every stored event."""
    query = charged_events("true", current_book(clickhouse))
    rows = clickhouse.rows(
        f"SELECT event_id, cost, cost_source, model_source, plugin_source, arraySort(lines) FROM ({query})"
    )
    return {row[0]: row[1:] for row in rows}


def told_by_python(charge: Charge) -> tuple[Any, ...]:
    """What Python says, in the same words."""
    lines = sorted(
        (line.provider, line.model, line.unit, line.source, line.quantity, line.usd_per_unit, line.amount)
        for line in charge.lines
    )
    return charge.cost, charge.source, charge.model.source, charge.plugin.source, lines


def test_sql_and_python_agree_on_random_uses(book: ClickHouse) -> None:
    """6,000 random uses of calls, plugins and resources, in batches that arrived before and after the book learned of a
    price: costs, sources and lines are the same in SQL and in Python, and every source of a cost occurs."""
    sink, wanted = Sink(book), {}
    for batch in range(6):
        events = [random_event(Random(number), number) for number in range(batch * 1_000, (batch + 1) * 1_000)]
        _, arrived_at = sink.store_rows(events)
        wanted |= {event.event_id: told_by_python(cost_of(event, prices_of(event, arrived_at))) for event in events}
    told = told_by_sql(book)
    assert {charge[1] for charge in wanted.values()} >= {
        "reported",
        "priced",
        "unpriced",
        "unmeasured",
        "mixed",
        "none",
    }
    assert {line[2] for charge in wanted.values() for line in charge[4]} >= {
        "input_audio_tokens",
        "page",
        "cpu_us",
        "calls",
    }
    different = [(event, told[event], charge) for event, charge in wanted.items() if told[event] != charge]
    assert different[:3] == []


def charged(clickhouse: ClickHouse, uses: list[tuple[datetime, AiUsage]]) -> list[tuple[Decimal, str]]:
    """Cost and source of single calls of one account."""
    events = [
        MeterEvent(account_id="plain", event_id=compose(number, b"0123456789"), occurred_at=at, ai=ai)
        for number, (at, ai) in enumerate(uses)
    ]
    Sink(clickhouse).store_rows(events)
    told = told_by_sql(clickhouse)
    return [(told[event.event_id][0], told[event.event_id][2]) for event in events]


def use(**counts: Any) -> AiUsage:
    """A call of the model that changes; a fee by the request is none of these tests' matter."""
    return AiUsage(provider="lab", model="changing", units={"requests": 0}, **counts)


def test_a_price_holds_from_its_own_instant(book: ClickHouse) -> None:
    """At the very microsecond of a change the new price holds, one microsecond before it the old one."""
    call = use(input_tokens=100_000)
    told = charged(book, [(CHANGE - timedelta(microseconds=1), call), (CHANGE, call)])
    assert told == [(PRICE * 100_000, "priced"), (PRICE * 200_000, "priced")]


def test_a_cliff_reprices_the_whole_call(book: ClickHouse) -> None:
    """At 200,000 input tokens the base price holds for all of them, above it the other one for all of them."""
    told = charged(book, [(CHANGE, use(input_tokens=200_000)), (CHANGE, use(input_tokens=200_001))])
    assert told == [(PRICE * 400_000, "priced"), (PRICE * 11 * 200_001, "priced")]


def test_windows_of_the_day_hold_by_the_second(book: ClickHouse) -> None:
    """Inside the window its price holds, at its end the all-day one again."""
    day = datetime(2026, 3, 3, tzinfo=UTC)
    moments = [day + timedelta(seconds=second) for second in (1_799, 1_800, 59_399, 59_400)]
    told = charged(book, [(at, use(output_tokens=1)) for at in moments])
    assert [cost for cost, _ in told] == [PRICE * 3, PRICE * 17, PRICE * 17, PRICE * 3]


def test_a_withdrawn_price_is_not_a_free_one(book: ClickHouse) -> None:
    """After a null price a call that uses the unit is unpriced as a whole, and one that does not is priced."""
    late = datetime(2026, 6, 4, tzinfo=UTC)  # at night, outside of the window that has a price of its own
    told = charged(book, [(late, use(input_tokens=10)), (late, use(input_tokens=10, output_tokens=1))])
    assert told == [(PRICE * 20, "priced"), (Decimal(0), "unpriced")]
