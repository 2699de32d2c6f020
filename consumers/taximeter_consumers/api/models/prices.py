"""Models with their prices, and the cost of a call that is not made yet."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from taximeter_consumers.api.inputs import Count, Cursor, Moment, Name, Word
from taximeter_consumers.api.models.measures import CostSource
from taximeter_consumers.api.models.wire import Amount, Asked, Instant, Usd, Wire


class ModelsQuery(Asked):
    """Which models, at whose prices, and when."""

    account_id: Name | None = Field(None, description="At this account's prices; for an account's key its own")
    provider: Name | None = Field(None, description="As in the events or in the book")
    model: Name | None = Field(None, description="A part of the name")
    at: Moment | None = Field(None, description="Prices at this instant; without it, those of now")
    cursor: Cursor | None = None
    limit: int = Field(200, ge=1, le=1_000)


class Window(Wire):
    """Seconds of the UTC day between which other prices hold."""

    start: int
    end: int


class ModelPrices(Wire):
    """A model of the price book."""

    provider: str
    model: str
    usd_per_unit: dict[str, Usd] = Field(
        description="Unit -> US dollars for one of it, at the standard tier, for calls of any size",
        examples=[{"input_tokens": "0.0000025", "output_tokens": "0.00001"}],
    )
    service_tiers: list[str] = Field(description="With prices of their own")
    above_input_tokens: list[int] = Field(description="Calls with more input tokens than this have other prices")
    windows: list[Window]


class ModelsPage(Wire):
    """Models by provider and name."""

    models: list[ModelPrices]
    next_cursor: str | None = Field(description="Null on the last page")


class EstimateAsked(Asked):
    """A call that is not made yet. Input includes cache reads and writes, output includes reasoning."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"provider": "openai", "model": "gpt-4o", "inputTokens": 1000, "outputTokens": 500}]
        }
    )

    provider: Name
    model: Name
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0
    units: dict[Word, Count] = Field(
        default_factory=dict, max_length=32, description="Any further unit of the price book", examples=[{"images": 2}]
    )
    service_tier: Word | None = Field(None, description="standard, batch, flex, priority, fast")
    account_id: Name | None = Field(None, description="At this account's prices; for an account's key its own")
    at: Moment | None = Field(None, description="At the prices of this instant; without it, those of now")


class EstimateLine(Wire):
    """One unit: quantity times price."""

    unit: str
    quantity: Amount
    usd_per_unit: Usd
    amount_usd: Usd


class EstimateAnswer(Wire):
    """What the call would cost."""

    provider: str = Field(description="As in the price book")
    model: str = Field(description="As in the price book")
    at: Instant
    cost_usd: Usd = Field(description="0 where costSource is unpriced: then it is not known")
    cost_source: CostSource
    lacking: list[str] = Field(description="Units of the call that have no price and need one")
    lines: list[EstimateLine]
