"""A tolerant reader of token counts: whatever shape a framework hands over becomes our counters. Pure.

What is not stated is left out, never zero. Our input includes cache reads and writes. Most conventions say the same;
Anthropic's and Bedrock's own words leave them out. Where a total is stated it decides; where the cache's share is
larger than the input, it cannot be a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from taximeter.usage.objects import member
from taximeter.use import AiCounters

Path = tuple[str, ...]

# Where each counter may stand, the first that is there wins.
_NAMES: Mapping[str, Sequence[Path]] = {
    "input_tokens": (
        ("input_tokens",), ("prompt_tokens",), ("inputTokens",), ("promptTokens",), ("prompt_token_count",),
        ("promptTokenCount",), ("input_token_count",), ("request_tokens",),
    ),
    "output_tokens": (
        ("output_tokens",), ("completion_tokens",), ("outputTokens",), ("completionTokens",),
        ("candidates_token_count",), ("candidatesTokenCount",), ("output_token_count",), ("generated_tokens",),
        ("response_tokens",),
    ),
    "total_tokens": (("total_tokens",), ("totalTokens",), ("total_token_count",), ("totalTokenCount",)),
    "cache_read_tokens": (
        ("cache_read_tokens",), ("cache_read_input_tokens",), ("cacheReadInputTokens",), ("cachedInputTokens",),
        ("cached_content_token_count",), ("cachedContentTokenCount",), ("prompt_cache_hit_tokens",),
        ("prompt_tokens_details", "cached_tokens"), ("input_tokens_details", "cached_tokens"),
        ("input_token_details", "cache_read"), ("inputTokenDetails", "cacheReadTokens"), ("cached_tokens",),
    ),
    "cache_write_tokens": (
        ("cache_write_tokens",), ("cache_creation_input_tokens",), ("cacheWriteInputTokens",),
        ("prompt_tokens_details", "cache_write_tokens"), ("input_tokens_details", "cache_write_tokens"),
        ("input_token_details", "cache_creation"), ("inputTokenDetails", "cacheWriteTokens"),
    ),
    "reasoning_tokens": (
        ("reasoning_tokens",), ("reasoningTokens",), ("output_reasoning_tokens",),
        ("completion_tokens_details", "reasoning_tokens"), ("output_tokens_details", "reasoning_tokens"),
        ("output_token_details", "reasoning"), ("outputTokenDetails", "reasoningTokens"),
        ("details", "reasoning_tokens"),
    ),
}  # fmt: skip

# Counts that an event carries as `units`; zeros are left out.
_UNITS: Mapping[str, Sequence[Path]] = {
    "cache_write_1h_tokens": (
        ("cache_write_1h_tokens",), ("cache_creation", "ephemeral_1h_input_tokens"),
        ("input_token_details", "ephemeral_1h_input_tokens"), ("details", "ephemeral_1h_input_tokens"),
    ),
    "input_audio_tokens": (
        ("input_audio_tokens",), ("prompt_tokens_details", "audio_tokens"), ("input_tokens_details", "audio_tokens"),
        ("input_token_details", "audio"),
    ),
    "cache_audio_read_tokens": (("cache_audio_read_tokens",),),
    "input_image_tokens": (
        ("prompt_tokens_details", "image_tokens"), ("input_tokens_details", "image_tokens"),
        ("input_token_details", "image"),
    ),
    "input_video_tokens": (("input_token_details", "video"),),
    "output_audio_tokens": (
        ("output_audio_tokens",), ("completion_tokens_details", "audio_tokens"),
        ("output_tokens_details", "audio_tokens"), ("output_token_details", "audio"),
    ),
    "output_image_tokens": (
        ("completion_tokens_details", "image_tokens"), ("output_tokens_details", "image_tokens"),
        ("output_token_details", "image"),
    ),
    "web_searches": (("server_tool_use", "web_search_requests"), ("details", "web_search_requests")),
}  # fmt: skip

# Gemini's candidates leave its thoughts out.
_THOUGHTS: Sequence[Path] = (("thoughts_token_count",), ("thoughtsTokenCount",))
# These words are Anthropic's and Bedrock's own, beside which the input is what the cache did not hold.
_APART = ("cache_read_input_tokens", "cache_creation_input_tokens", "cacheReadInputTokens", "cacheWriteInputTokens")
_FRESH = ("input_tokens", "inputTokens")


def counters_of(usage: object) -> AiCounters:
    """The counters that a usage states: a mapping or an object of any common shape; None states nothing."""
    found = {name: value for name, paths in _NAMES.items() if (value := _first(usage, paths)) is not None}
    thoughts = _first(usage, _THOUGHTS)
    if thoughts is not None:
        found["reasoning_tokens"] = thoughts
        found["output_tokens"] = found.get("output_tokens", 0) + thoughts
    raw = any(member(usage, name) is not None for name in _APART) and any(
        _count(member(usage, name)) is not None for name in _FRESH
    )
    counters = whole(found, apart=raw)
    units = {name: value for name, paths in _UNITS.items() if (value := _first(usage, paths))}
    if units:
        counters["units"] = units
    tier = member(usage, "service_tier")
    if isinstance(tier, str) and tier:
        counters["service_tier"] = tier
    return counters


def whole(found: Mapping[str, int], *, apart: bool = False) -> AiCounters:
    """The counters, their input with the cache. `apart`: the words were those of a vendor that leaves it out."""
    counters = dict(found)
    read = counters.get("input_tokens")
    cached = counters.get("cache_read_tokens", 0) + counters.get("cache_write_tokens", 0)
    total, written = counters.get("total_tokens"), counters.get("output_tokens", 0)
    if read is not None and cached:
        if cached <= read and total == read + written:
            apart = False
        elif total == read + cached + written:
            apart = True
        if apart or cached > read:
            counters["input_tokens"] = read + cached
            if total is not None:
                counters["total_tokens"] = read + cached + written
    return cast(AiCounters, counters)


def is_count(value: object) -> bool:
    """Whether it can be a number of tokens."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _count(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if is_count(value) and isinstance(value, int) else None


def _first(usage: object, paths: Sequence[Path]) -> int | None:
    for path in paths:
        value: object = usage
        for step in path:
            value = member(value, step)
        count = _count(value)
        if count is not None:
            return count
    return None
