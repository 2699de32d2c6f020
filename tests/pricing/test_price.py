"""What one event costs, rule by rule."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from taximeter_consumers.pricing.price import Charge, Part, Prices, call_size, cost_of
from taximeter_consumers.pricing.series import Card
from taximeter_schemas.event import AiUsage, Kind, MeterEvent, Quality
from taximeter_schemas.uuid7 import compose

CARD = Card(
    {
        "input_tokens": Decimal("0.000003"),
        "output_tokens": Decimal("0.000015"),
        "reasoning_tokens": Decimal("0.000015"),
        "cache_read_tokens": Decimal("0.0000003"),
        "cache_write_tokens": Decimal("0.00000375"),
    }
)
APART = (
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "cache_audio_read_tokens",
    "reasoning_tokens",
)


def event(kind: Kind = Kind.NODE, **ai: object) -> MeterEvent:
    """An event with an AI use."""
    return MeterEvent(
        event_id=compose(1, b"0123456789"),
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        kind=kind,
        ai=AiUsage.model_validate(ai),
    )


def charged(used: MeterEvent, card: Card | None = CARD) -> tuple[Decimal, str]:
    """Cost and source of the call of an event."""
    part = cost_of(used, Prices(card)).model
    return part.cost, part.source


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
    assert charged(used) == (Decimal("0.0003105"), "priced")


@pytest.mark.parametrize(("kind", "cost"), [(Kind.NODE, "0.0000033"), (Kind.ADJUSTMENT, "0.0000003")])
def test_a_contradiction_counts_no_remainder_except_in_an_adjustment(kind: Kind, cost: str) -> None:
    """More cache than input: the cache is priced as stated and the remainder is zero; a difference may be negative."""
    assert charged(event(kind, input_tokens=10, cache_read_tokens=11))[0] == Decimal(cost)


def test_an_adjustment_takes_back_what_was_charged() -> None:
    """The same counters with the opposite sign cost the opposite."""
    there, _ = charged(event(input_tokens=100, cache_read_tokens=40, output_tokens=3))
    back, _ = charged(event(Kind.ADJUSTMENT, input_tokens=-100, cache_read_tokens=-40, output_tokens=-3))
    assert there + back == 0


@pytest.mark.parametrize("stated", [Decimal(0), Decimal("0.25")])
def test_a_stated_cost_wins(stated: Decimal) -> None:
    """What the provider states is the cost, zero included, whether the use or the price is known or not."""
    for card in (CARD, None):
        used = event(input_tokens=100, reported_cost=stated, quality=Quality.MISSING)
        assert charged(used, card) == (stated, "reported")


@pytest.mark.parametrize("quality", [Quality.MISSING, Quality.UNKNOWN])
def test_unknown_use_is_unmeasured_and_not_free(quality: Quality) -> None:
    """Where nobody knows what was used, the call is counted as such."""
    assert charged(event(quality=quality))[1] == "unmeasured"


def test_a_unit_without_a_price_makes_the_whole_call_unpriced() -> None:
    """A call is never priced in part."""
    assert charged(event(input_tokens=5, images=1)) == (0, "unpriced")
    assert charged(event(input_tokens=5), None) == (0, "unpriced")


def test_a_broken_counter_cannot_cost_a_trillion() -> None:
    """A cost beyond any call is unmeasured."""
    card = Card({"input_tokens": Decimal(1)})
    assert charged(event(input_tokens=10**12), card)[1] == "priced"
    assert charged(event(input_tokens=10**12 + 1), card)[1] == "unmeasured"


def test_an_event_without_a_model_costs_nothing() -> None:
    """No AI use: no charge, and no call either."""
    quiet = MeterEvent(event_id=compose(1, b"0123456789"), occurred_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert cost_of(quiet, Prices(CARD)) == Charge()
    assert (Charge().cost, Charge().source) == (0, "none")


def test_parts_of_counters_cost_what_they_cost_apart() -> None:
    """An hour's cache writes, cached sound and reasoning are taken out of what includes them, each at its own price."""
    card = Card({unit: Decimal(n) for n, unit in enumerate(("input_tokens", "output_tokens", *APART), start=1)})
    used = event(
        input_tokens=100,
        cache_read_tokens=40,
        cache_write_tokens=30,
        output_tokens=20,
        reasoning_tokens=5,
        units={"cache_write_1h_tokens": 10, "input_audio_tokens": 15, "cache_audio_read_tokens": 7},
    )
    lines = {line.unit: int(line.quantity) for line in cost_of(used, Prices(card)).lines}
    assert lines == {
        "input_tokens": 22,
        "cache_read_tokens": 33,
        "cache_write_tokens": 20,
        "cache_write_1h_tokens": 10,
        "input_audio_tokens": 8,
        "cache_audio_read_tokens": 7,
        "output_tokens": 15,
        "reasoning_tokens": 5,
    }
    assert sum(lines.values()) == 120


def test_a_cliff_looks_at_one_call() -> None:
    """The size of a call is its input; of calls that are added up, the average."""
    one, several = event(input_tokens=90_000).ai, event(input_tokens=90_000, units={"requests": 9}).ai
    assert one is not None
    assert several is not None
    assert (call_size(one), call_size(several)) == (90_000, 10_000)


def test_parts_that_are_known_in_different_ways_make_a_mixed_cost() -> None:
    """One word where all parts have it, else mixed; a part that costs nothing by choice says nothing."""
    priced, unpriced = Part("priced"), Part("unpriced")
    assert Charge(priced, priced).source == "priced"
    assert Charge(priced, unpriced).source == "mixed"
    assert Charge(unpriced).source == "unpriced"
