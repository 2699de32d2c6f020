"""From what a body stated to our words: input with cache and tools, output with reasoning. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from taximeter.usage.extract import IMAGE_TOOL, Stated, extract
from taximeter.usage.result import Usage
from taximeter_schemas.words import Quality, UsageType

_FIELDS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "total_tokens",
    "images",
)


@dataclass(frozen=True, slots=True)
class Whose:
    """Which call a statement of use belongs to."""

    provider: str
    model: str
    usage_type: str
    response_id: str
    service_tier: str = ""


def counters(stated: Stated, whose: Whose) -> dict[str, int]:
    """The counters in our words. One whose parts could not be read is left out, because a part is not the whole."""
    counts = dict(stated.counts)
    for name, parts in stated.shape.adds.items():
        found = [counts[part] for part in parts if part in stated.counts]
        if stated.unread.intersection(parts):
            counts.pop(name, None)
        elif name not in stated.unread and (found or name in counts):
            counts[name] = counts.get(name, 0) + sum(found)
    _add_what_is_apart(counts, stated, whose)
    if "input_tokens" in counts and counts.get("cache_read_tokens", 0) > counts["input_tokens"]:
        # Cohere's billed input, and Grok's on Azure, leave out what was cached: then it is no part of the input.
        stated.details["cached_beside_input_tokens"] = counts.pop("cache_read_tokens")
    return {name: counts[name] for name in _FIELDS if name in counts}


def _add_what_is_apart(counts: dict[str, int], stated: Stated, whose: Whose) -> None:
    """Some leave reasoning out of the output, or sound out of the input. Where the total covers it, the total tells."""
    shape, model = stated.shape, whose.model.lower()
    read, written, total = (counts.get(name) for name in ("input_tokens", "output_tokens", "total_tokens"))
    if written is None or not shape.apart_providers:
        return
    reasoning = counts.get("reasoning_tokens", 0)
    missing = 0 if read is None or total is None else total - read - written
    named = whose.provider in shape.apart_providers or model.startswith(shape.apart_models)
    if read is not None and missing > 0 and missing == stated.details.get("input_audio_tokens"):
        counts["input_tokens"] = read + missing
    elif missing > 0 and (named or missing == reasoning):
        counts["output_tokens"] = written + missing
    elif (total is None and reasoning > written) or _always_apart(shape.apart_always, whose.provider, model):
        counts["output_tokens"] = written + reasoning


def _always_apart(rules: Sequence[tuple[str, str]], provider: str, model: str) -> bool:
    return any(provider == whose and model.startswith(name) for whose, name in rules)


def usage_of(stated: Stated, whose: Whose, streamed: bool, complete: bool) -> Usage | None:
    """The usage, or None when nothing of it is a count."""
    counts = counters(stated, whose)
    if not counts and not stated.details and stated.audio_ms is None and stated.cost is None:
        return None
    cut = streamed and not stated.final and (bool(stated.shape.last) or not complete)
    return Usage(
        provider=whose.provider,
        model=whose.model,
        usage_type=whose.usage_type,
        response_id=whose.response_id,
        service_tier=whose.service_tier,
        audio_ms=stated.audio_ms,
        reported_cost=stated.cost,
        quality=Quality.PARTIAL if cut or stated.unread else Quality.REPORTED,
        further=_further(stated, whose),
        details=dict(stated.details),
        **counts,
    )


def _further(stated: Stated, whose: Whose) -> tuple[Usage, ...]:
    """Passes of other models, or of other kinds, that the totals leave out. Passes of the answer itself are in them."""
    items = [item for item in stated.further if isinstance(item, dict)]
    tools = [item for item in items if item.get("type") == IMAGE_TOOL]
    passes = [item for item in items if item.get("type") != IMAGE_TOOL]
    beside = [item for item in passes if item.get("type") != "message"]
    if _sum(passes) == _sum_of(stated.counts):
        beside = []
    found = []
    for item in (*beside, *tools):
        model = item.get("model")
        kind = UsageType.IMAGE if item in tools else UsageType.TEXT
        tier = "" if item in tools else whose.service_tier
        theirs = Whose(whose.provider, model if isinstance(model, str) and model else whose.model, kind.value, "", tier)
        part = extract(stated.shape, item, ())
        part.further = []
        usage = usage_of(part, theirs, streamed=False, complete=True)
        if usage is not None:
            found.append(usage)
    return tuple(found)


def _sum(items: list[dict[str, object]]) -> int:
    return sum(_sum_of(item) for item in items)


def _sum_of(counts: Mapping[str, object]) -> int:
    values = (counts.get(name) for name in ("input_tokens", "output_tokens"))
    return sum(value for value in values if isinstance(value, int))
