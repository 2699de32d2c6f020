"""The SQL price and the Python price are one rule: equal to the last digit on thousands of random uses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from tests.rollups.model import card_at
from tests.rollups.rows import EPOCH, Sink

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing import charged_events, cost_of, match_new_models
from taximeter_consumers.pricing.book import Rate, append_rates, packaged_rates
from taximeter_consumers.pricing.price import Charge
from taximeter_schemas.event import AiUsage, Kind, MeterEvent, Quality, UsageType
from taximeter_schemas.uuid7 import compose

pytestmark = pytest.mark.integration

CHANGE = datetime(2026, 6, 1, 12, 0, 0, 1, tzinfo=UTC)
PRICE = Decimal("0.000000123456789123")
OWN = [
    Rate("lab", "changing", "input_tokens", PRICE, datetime(2026, 1, 1, tzinfo=UTC), "test"),
    Rate("lab", "changing", "output_tokens", PRICE * 3, datetime(2026, 1, 1, tzinfo=UTC), "test"),
    Rate("lab", "changing", "cache_read_tokens", PRICE * 5, datetime(2026, 1, 1, tzinfo=UTC), "test"),
    Rate("lab", "changing", "input_tokens", PRICE * 2, CHANGE, "test"),
    Rate("lab", "changing", "output_tokens", None, CHANGE + timedelta(days=1), "test"),
    Rate("lab", "images-only", "images", Decimal("0.04"), datetime(2026, 1, 1, tzinfo=UTC), "test"),
]
NAMES = [
    ("lab", "changing"),
    ("lab", "images-only"),
    ("openai.responses", "gpt-4o-2024-05-13"),
    ("azure", "gpt-4o"),
    ("anthropic", "claude-sonnet-4-20250514"),
    ("openai", "text-embedding-3-large"),
    ("nobody", "knows"),
    ("", ""),
]
MOMENTS = [CHANGE, CHANGE - timedelta(microseconds=1), CHANGE + timedelta(days=1), CHANGE + timedelta(days=2), EPOCH]
COUNTS = [0, 0, 1, 17, 12_345, 2_000_000, 2**53 + 1, 2**63 - 1]


def random_event(random: Random, number: int) -> MeterEvent:
    """Any use of any model: contradictions, huge and negative counts, adjustments, stated costs."""
    sign = random.choice([1, 1, 1, -1])
    counts = {
        name: sign * random.choice(COUNTS)
        for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    }
    provider, model = random.choice(NAMES)
    stated = random.choice(
        [None, None, None, Decimal(0), Decimal("0.000000000001"), Decimal(10) ** 12, Decimal(10) ** 20]
    )
    ai = AiUsage(
        provider=provider,
        model=model,
        usage_type=random.choice(list(UsageType)),
        images=random.choice([0, 0, 0, 3]),
        reported_cost=stated,
        quality=random.choice(list(Quality)),
        **counts,
    )
    moment = random.choice([*MOMENTS, datetime(2023, 1, 1, tzinfo=UTC)])
    return MeterEvent(
        account_id="a",
        event_id=compose(int(EPOCH.timestamp() * 1000) + number, random.randbytes(10)),
        occurred_at=moment,
        kind=random.choice([Kind.NODE, Kind.USAGE, Kind.ADJUSTMENT]),
        ai=random.choice([ai, ai, ai, ai, None]),
    )


def charges(clickhouse: ClickHouse) -> dict[object, Charge]:
    """What the SQL says of every stored event."""
    match_new_models(clickhouse, "true", {})
    rows = clickhouse.rows(f"SELECT event_id, cost, cost_source FROM ({charged_events('true')})")
    return {event_id: Charge(cost, source) for event_id, cost, source in rows}


def expected(events: Sequence[MeterEvent], rates: Sequence[Rate]) -> dict[object, Charge]:
    """What Python says."""
    return {
        event.event_id: cost_of(
            event, card_at(rates, event.ai.provider, event.ai.model, event.occurred_at) if event.ai else None
        )
        for event in events
    }


def test_sql_and_python_agree_on_random_uses(clickhouse: ClickHouse) -> None:
    """4,000 random uses cost the same in SQL and in Python, and every source of a cost occurs."""
    append_rates(clickhouse, OWN)
    events = [random_event(Random(number), number) for number in range(4_000)]
    Sink(clickhouse).store(events)
    told, wanted = charges(clickhouse), expected(events, [*packaged_rates(), *OWN])
    assert {charge.source for charge in wanted.values()} == {"reported", "priced", "unpriced", "unmeasured", "none"}
    assert [(event, told[event], charge) for event, charge in wanted.items() if told[event] != charge] == []


def test_a_price_holds_from_its_own_instant(clickhouse: ClickHouse) -> None:
    """At the very microsecond of a change the new price holds, one microsecond before it the old one."""
    append_rates(clickhouse, OWN)
    events = [
        MeterEvent(
            account_id="a",
            event_id=compose(number, b"0123456789"),
            occurred_at=moment,
            ai=AiUsage(provider="lab", model="changing", input_tokens=1_000_000),
        )
        for number, moment in enumerate([CHANGE - timedelta(microseconds=1), CHANGE])
    ]
    Sink(clickhouse).store(events)
    told = charges(clickhouse)
    assert [told[event.event_id].cost for event in events] == [PRICE * 1_000_000, PRICE * 2_000_000]


def test_a_withdrawn_price_is_not_a_free_one(clickhouse: ClickHouse) -> None:
    """After a null price a call that uses the unit is unpriced as a whole, and one that does not is priced."""
    append_rates(clickhouse, OWN)
    late = CHANGE + timedelta(days=3)
    uses = [AiUsage(provider="lab", model="changing", input_tokens=10, output_tokens=out) for out in (0, 1)]
    events = [
        MeterEvent(account_id="a", event_id=compose(number, b"0123456789"), occurred_at=late, ai=ai)
        for number, ai in enumerate(uses)
    ]
    Sink(clickhouse).store(events)
    told = charges(clickhouse)
    assert [told[event.event_id] for event in events] == [Charge(PRICE * 20, "priced"), Charge(Decimal(0), "unpriced")]
