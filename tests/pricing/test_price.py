"""What one event costs, rule by rule."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from taximeter_consumers.pricing import Charge, RateCard, cost_of
from taximeter_schemas.event import AiUsage, Kind, MeterEvent, Quality
from taximeter_schemas.uuid7 import compose

CARD = RateCard(
    {
        "input_tokens": Decimal("0.000003"),
        "output_tokens": Decimal("0.000015"),
        "cache_read_tokens": Decimal("0.0000003"),
        "cache_write_tokens": Decimal("0.00000375"),
    }
)


def event(kind: Kind = Kind.NODE, **ai: object) -> MeterEvent:
    """An event with an AI use."""
    return MeterEvent(
        event_id=compose(1, b"0123456789"),
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        kind=kind,
        ai=AiUsage.model_validate(ai),
    )


def test_overlapping_counters_are_split_before_they_are_priced() -> None:
    """Cache reads and writes are part of the input and are priced once, at their own price; reasoning is not added."""
    used = event(
        input_tokens=100,
        cache_read_tokens=60,
        cache_write_tokens=30,
        output_tokens=10,
        reasoning_tokens=9,
        total_tokens=110,
    )
    assert cost_of(used, CARD) == Charge(Decimal("0.0003105"), "priced")


@pytest.mark.parametrize(("kind", "cost"), [(Kind.NODE, "0.0000033"), (Kind.ADJUSTMENT, "0.0000003")])
def test_a_contradiction_counts_no_remainder_except_in_an_adjustment(kind: Kind, cost: str) -> None:
    """More cache than input: the cache is priced as stated and the remainder is zero; a difference may be negative."""
    assert cost_of(event(kind, input_tokens=10, cache_read_tokens=11), CARD).cost == Decimal(cost)


def test_an_adjustment_takes_back_what_was_charged() -> None:
    """The same counters with the opposite sign cost the opposite."""
    charged = cost_of(event(input_tokens=100, cache_read_tokens=40, output_tokens=3), CARD)
    back = cost_of(event(Kind.ADJUSTMENT, input_tokens=-100, cache_read_tokens=-40, output_tokens=-3), CARD)
    assert charged.cost + back.cost == 0


@pytest.mark.parametrize("stated", [Decimal(0), Decimal("0.25")])
def test_a_stated_cost_wins(stated: Decimal) -> None:
    """What the provider states is the cost, zero included, whether the use or the price is known or not."""
    for card in (CARD, None):
        used = event(input_tokens=100, reported_cost=stated, quality=Quality.MISSING)
        assert cost_of(used, card) == Charge(stated, "reported")


@pytest.mark.parametrize("quality", [Quality.MISSING, Quality.UNKNOWN])
def test_unknown_use_is_unmeasured_and_not_free(quality: Quality) -> None:
    """Where nobody knows what was used, the call is counted as such."""
    assert cost_of(event(quality=quality), CARD).source == "unmeasured"


def test_a_unit_without_a_price_makes_the_whole_call_unpriced() -> None:
    """A call is never priced in part."""
    assert cost_of(event(input_tokens=5, images=1), CARD) == Charge(Decimal(0), "unpriced")
    assert cost_of(event(input_tokens=5), None) == Charge(Decimal(0), "unpriced")


def test_a_broken_counter_cannot_cost_a_trillion() -> None:
    """A cost beyond any call is unmeasured."""
    card = RateCard({"input_tokens": Decimal(1)})
    assert cost_of(event(input_tokens=10**12), card).source == "priced"
    assert cost_of(event(input_tokens=10**12 + 1), card).source == "unmeasured"


def test_an_event_without_a_model_costs_nothing() -> None:
    """No AI use: no charge, and no call either."""
    quiet = MeterEvent(event_id=compose(1, b"0123456789"), occurred_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert cost_of(quiet, CARD) == Charge(Decimal(0), "none")
