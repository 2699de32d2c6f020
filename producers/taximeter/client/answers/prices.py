"""Models with their prices, and the cost of a call that is not made yet."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from taximeter.client.answers.wire import Answered, Usd


class Window(Answered):
    """Seconds of the UTC day between which other prices hold."""

    start: int
    end: int


class ModelPrices(Answered):
    """A model of the price book: dollars for one of each unit, at the standard tier."""

    provider: str
    model: str
    usd_per_unit: dict[str, Usd]
    service_tiers: tuple[str, ...]
    above_input_tokens: tuple[int, ...]
    windows: tuple[Window, ...]


class ModelsPage(Answered):
    """By provider and name."""

    models: tuple[ModelPrices, ...]
    next_cursor: str | None


class EstimateLine(Answered):
    """One unit: quantity times price."""

    unit: str
    quantity: Decimal
    usd_per_unit: Usd
    amount_usd: Usd


class CostEstimate(Answered):
    """What a call would cost; where `cost_source` is unpriced that is not known, and `cost_usd` is 0."""

    provider: str
    model: str
    at: datetime
    cost_usd: Usd
    cost_source: str
    lacking: tuple[str, ...]
    lines: tuple[EstimateLine, ...]
