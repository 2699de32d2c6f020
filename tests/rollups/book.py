"""A small price book for the tests of rollups, and what it says in Python: a few models of the package, and units of a
plugin and of the executor's own resources."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

from tests.rollups.strategies import NAMES

from taximeter_consumers.pricing.cards import compile_book
from taximeter_consumers.pricing.match import match
from taximeter_consumers.pricing.packaged import packaged_rates
from taximeter_consumers.pricing.price import Prices, call_size
from taximeter_consumers.pricing.rate import Rate
from taximeter_consumers.pricing.series import Card, Entry, Use, fitting
from taximeter_schemas.event import MeterEvent

MODELS = {
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("openai", "o3"),
    ("azure", "o3"),
    ("anthropic", "claude-3-5-haiku-latest"),
    ("openai", "text-embedding-3-small"),
}
PAGE = Rate("plugin", "ocr", "page", Decimal("0.01"), source="test")
CPU = Rate("resource", "", "cpu_us", Decimal("0.000000001"), source="test")
LATE = datetime(2299, 1, 1, tzinfo=UTC)
"""When everything is known."""


@cache
def small_book() -> tuple[Rate, ...]:
    """The rates."""
    return (*(rate for rate in packaged_rates() if (rate.provider, rate.model) in MODELS), PAGE, CPU)


@cache
def series(
    rates: tuple[Rate, ...], names: tuple[tuple[str, str], ...]
) -> dict[tuple[str, str, str], tuple[Entry, ...]]:
    """The compiled book for some names of events."""
    known = {(rate.provider, rate.model) for rate in rates}
    found = [(provider, model, *(match(provider, model, known) or ("", ""))) for provider, model in names]
    return compile_book(found, rates)


def prices_of(event: MeterEvent, rates: Sequence[Rate]) -> Prices:
    """The cards that hold for an event."""
    ai, names = event.ai, set(NAMES)
    book = series(tuple(rates), tuple(sorted(names | ({(ai.provider, ai.model)} if ai else set()))))

    def card(provider: str, model: str, tier: str = "", tokens: int = 0) -> Card | None:
        return fitting(book.get(("", provider, model), ()), Use(event.occurred_at, LATE, tier, tokens))

    return Prices(
        card(ai.provider, ai.model, ai.service_tier, call_size(ai)) if ai else None,
        card("plugin", event.plugin.plugin_id) if event.plugin else None,
        card("resource", ""),
    )
