"""Readers of what providers say was used: their words become ours. Pure, and without any provider's library.

Each takes a `usage` as a mapping or as an SDK's object and gives keywords for `node.ai(...)`:

    node.ai(provider="openai", model=answer.model, **from_openai(answer.usage))

A use that is not stated gives `quality="missing"` with no counters: unknown is never zero.
"""

from __future__ import annotations

from collections.abc import Mapping

from taximeter.use import AiCounters
from taximeter_schemas.words import Quality


def from_openai(usage: object) -> AiCounters:
    """Chat completions, embeddings and responses. Their input includes cached tokens, their output reasoning.

    The service tier is not in the usage but in the answer: hand it over as `service_tier=answer.service_tier`.
    """
    read = _count(usage, "prompt_tokens", "input_tokens")
    written = _count(usage, "completion_tokens", "output_tokens")
    if read is None and written is None:
        return {"quality": Quality.MISSING}
    total = _count(usage, "total_tokens")
    asked = _inner(usage, "prompt_tokens_details", "input_tokens_details")
    answered = _inner(usage, "completion_tokens_details", "output_tokens_details")
    found: AiCounters = {
        "input_tokens": read or 0,
        "output_tokens": written or 0,
        "cache_read_tokens": _count(asked, "cached_tokens") or 0,
        "reasoning_tokens": _count(answered, "reasoning_tokens") or 0,
        "total_tokens": (read or 0) + (written or 0) if total is None else total,
        "quality": Quality.REPORTED,
    }
    if written_cache := _count(asked, "cache_write_tokens"):
        found["cache_write_tokens"] = written_cache
    return _with_units(
        found,
        {
            "input_audio_tokens": _count(asked, "audio_tokens"),
            "input_image_tokens": _count(asked, "image_tokens"),
            "output_audio_tokens": _count(answered, "audio_tokens"),
            "output_image_tokens": _count(answered, "image_tokens"),
        },
    )


def from_anthropic(usage: object) -> AiCounters:
    """Messages. Their input leaves cache reads and writes out; ours includes them."""
    fresh = _count(usage, "input_tokens")
    written = _count(usage, "output_tokens")
    if fresh is None and written is None:
        return {"quality": Quality.MISSING}
    cache_read = _count(usage, "cache_read_input_tokens") or 0
    cache_write = _count(usage, "cache_creation_input_tokens") or 0
    read = (fresh or 0) + cache_read + cache_write
    found: AiCounters = {
        "input_tokens": read,
        "output_tokens": written or 0,
        "cache_read_tokens": cache_read,
        "cache_write_tokens": cache_write,
        "total_tokens": read + (written or 0),
        "quality": Quality.REPORTED,
    }
    if isinstance(tier := member(usage, "service_tier"), str):
        found["service_tier"] = tier
    hour = _count(member(usage, "cache_creation"), "ephemeral_1h_input_tokens")
    searches = _count(member(usage, "server_tool_use"), "web_search_requests")
    return _with_units(found, {"cache_write_1h_tokens": hour, "web_searches": searches})


def member(holder: object, name: str) -> object:
    """What a mapping or an object has under a name; None where it has nothing, or raises. Never raises itself."""
    if isinstance(holder, Mapping):
        return holder.get(name)
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - a property of a foreign object may raise whatever it likes
        return None


def _with_units(found: AiCounters, units: Mapping[str, int | None]) -> AiCounters:
    stated = {name: count for name, count in units.items() if count}
    if stated:
        found["units"] = stated
    return found


def _count(holder: object, *names: str) -> int | None:
    for name in names:
        value = member(holder, name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _inner(holder: object, *names: str) -> object:
    for name in names:
        value = member(holder, name)
        if value is not None:
            return value
    return None
