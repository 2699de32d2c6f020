"""What providers said they charged, against what the book of that day says: within one per cent, through the SDK's own
reading of the body. The bodies are made for the test; model, day, counts and dollars are those of real responses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from taximeter.usage import read_usage
from taximeter_consumers.pricing.cards import compile_book
from taximeter_consumers.pricing.match import match
from taximeter_consumers.pricing.packaged import packaged_rates
from taximeter_consumers.pricing.price import Prices, call_size, cost_of
from taximeter_consumers.pricing.series import Use, fitting
from taximeter_schemas.event import AiUsage, MeterEvent
from taximeter_schemas.uuid7 import compose


@dataclass(frozen=True)
class Stated:
    """A call through OpenRouter: its model, the day, its counts and the dollars."""

    model: str
    day: datetime
    prompt: int
    completion: int
    cached: int
    reasoning: int
    dollars: str

    @property
    def body(self) -> bytes:
        """The response, without its text."""
        usage: dict[str, Any] = {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "cost": float(self.dollars),
            "is_byok": False,
            "prompt_tokens_details": {"cached_tokens": self.cached, "cache_write_tokens": 0},
            "cost_details": {"upstream_inference_cost": float(self.dollars)},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        }
        return json.dumps({"id": "gen-1", "model": self.model, "choices": [], "usage": usage}).encode()


STATED = [
    Stated(
        "google/gemini-3.1-pro-preview-20260219", datetime(2026, 5, 4, 14, tzinfo=UTC), 818, 260, 0, 228, "0.004756"
    ),
    Stated("x-ai/grok-4.6", datetime(2026, 9, 16, 12, tzinfo=UTC), 43_958, 11_105, 128, 6_649, "0.154354"),
    Stated("qwen/qwen3.7-flash", datetime(2026, 10, 1, 12, tzinfo=UTC), 61_753, 7_022, 0, 5_616, "0.0089841"),
]


def priced(stated: Stated) -> tuple[Decimal, Decimal | None]:
    """What the body states, and what the book says of the same call without that; None where it has no price."""
    usage = read_usage(host="openrouter.ai", path="/api/v1/chat/completions", body=stated.body)
    assert usage is not None
    words = usage.words()
    dollars = words.pop("reported_cost")
    assert isinstance(dollars, Decimal)
    ai = AiUsage(**words)
    rates = packaged_rates()
    name = match(ai.provider, ai.model, {(rate.provider, rate.model) for rate in rates})
    if name is None:
        return dollars, None
    own = [rate for rate in rates if (rate.provider, rate.model) == name]
    entries = compile_book([(ai.provider, ai.model, *name)], own)["", ai.provider, ai.model]
    card = fitting(entries, Use(stated.day, stated.day, ai.service_tier, call_size(ai)))
    event = MeterEvent(event_id=compose(1, b"0123456789"), occurred_at=stated.day, ai=ai)
    part = cost_of(event, Prices(card)).model
    return dollars, part.cost if part.source == "priced" else None


@pytest.mark.parametrize("stated", STATED, ids=lambda stated: stated.model)
def test_the_book_agrees_with_what_was_charged(stated: Stated) -> None:
    """Counts times the prices of the day are the stated dollars, within one per cent."""
    dollars, ours = priced(stated)
    assert dollars == Decimal(stated.dollars)
    assert ours is not None
    assert abs(ours - dollars) <= dollars / 100
