"""What a provider's response states as used, in our words. A value: nothing here reads anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from taximeter.use import AI_COUNTS
from taximeter_schemas.words import Quality, UsageType

WORDS = ("provider", "model", "usage_type", *AI_COUNTS, "reported_cost", "quality")

UNITS = (
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "cache_audio_read_tokens",
    "input_image_tokens",
    "cache_image_read_tokens",
    "input_video_tokens",
    "output_audio_tokens",
    "output_image_tokens",
    "output_video_tokens",
    "citation_tokens",
    "web_searches",
    "document_pages",
)
"""Which details an event carries as `units`. The others are in the counters already, or have no price anywhere."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one response states. A counter that is None was not stated; a zero was.

    `input_tokens` includes cache reads and writes and the tokens of audio, images and tools; `output_tokens` includes
    reasoning. `reported_cost` is in US dollars. `further` are models billed beside this one in the same response: their
    tokens are not in these counters. `details` are finer counts, e.g. `cache_write_5m_tokens` or `search_units`.
    `service_tier` is how the call was served, in our words; empty where it was not stated.
    """

    provider: str
    model: str
    usage_type: str = UsageType.TEXT.value
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    audio_ms: int | None = None
    characters: int | None = None
    images: int | None = None
    response_id: str = ""
    reported_cost: Decimal | None = None
    quality: Quality = Quality.REPORTED
    further: tuple[Usage, ...] = ()
    details: Mapping[str, int] = field(default_factory=dict)
    service_tier: str = ""

    @property
    def units(self) -> dict[str, int]:
        """The details that an event carries; zeros are left out."""
        return {name: count for name in UNITS if (count := self.details.get(name))}

    def words(self) -> dict[str, Any]:
        """The keywords of `node.ai(...)`, without what is not stated. Each of `further` has its own."""
        words = {name: getattr(self, name) for name in WORDS}
        for name in ("response_id", "service_tier", "units"):
            words[name] = getattr(self, name) or None
        return {name: value for name, value in words.items() if value is not None}
