"""What a provider's response states as used, in our words. A value: nothing here reads anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from taximeter.use import AI_COUNTS
from taximeter_schemas.words import Quality, UsageType

WORDS = ("provider", "model", "usage_type", *AI_COUNTS, "reported_cost", "quality")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one response states. A counter that is None was not stated; a zero was.

    `input_tokens` includes cache reads and writes and the tokens of audio, images and tools; `output_tokens` includes
    reasoning. `reported_cost` is in US dollars. `further` are models billed beside this one in the same response: their
    tokens are not in these counters. `details` are finer counts, e.g. `cache_write_5m_tokens` or `search_units`.
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

    def words(self) -> dict[str, Any]:
        """The keywords of `node.ai(...)`, without what is not stated. Each of `further` has its own."""
        words = {name: getattr(self, name) for name in WORDS}
        words["response_id"] = self.response_id or None
        return {name: value for name, value in words.items() if value is not None}
