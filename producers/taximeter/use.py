"""What a node used, record by record: the words of `node.ai(...)` and the others, and how they are read. Pure.

A record without any counter is `missing`, one with a counter that cannot be read `partial`: unknown is never zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypedDict

from taximeter import accept
from taximeter.faults import Faults
from taximeter_schemas.words import Quality, UsageType


class AiCounters(TypedDict, total=False):
    """The counters of one AI call. `input_tokens` includes cache reads and writes, `output_tokens` reasoning.

    `units` are further counts by name: parts of these (`cache_write_1h_tokens`, `input_audio_tokens`), or others
    (`web_searches`). Its `requests` says how many calls these words add up; it is one unless they say so.
    """

    usage_type: UsageType | str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    total_tokens: int
    audio_ms: int
    characters: int
    images: int
    response_id: str
    reported_cost: Decimal | int | float | str
    quality: Quality | str
    service_tier: str
    units: Mapping[str, int]


class AiWords(AiCounters, total=False):
    """One AI call: whose model it was, and its counters."""

    provider: str
    model: str


class UseWords(TypedDict, total=False):
    """Use that is already summed up: groups by the fields of `MeterEvent`. All of it is optional."""

    ai: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
    http: Mapping[str, Any] | None
    plugin: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
    code: Mapping[str, Any] | None


Group = dict[str, Any]

AI_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "total_tokens",
    "audio_ms",
    "characters",
    "images",
)
_COUNTED = frozenset(AI_COUNTS)
_TEXTS = frozenset({"provider", "model", "response_id"})
_AI_RULES: Mapping[str, accept.Rule] = {
    "provider": accept.text,
    "model": accept.text,
    "usage_type": UsageType,
    "quality": Quality,
    "response_id": accept.text,
    "reported_cost": accept.money,
    "service_tier": accept.tier,
    "units": accept.units,
    **dict.fromkeys(AI_COUNTS, accept.count),
}
_PLUGIN_RULES: Mapping[str, accept.Rule] = {
    "plugin_id": accept.text,
    "invocations": accept.count,
    "custom_units": accept.amounts,
}
BREACHES = {"timeout": "timeout_breaches", "memory": "memory_breaches"}
_HTTP_RULES = dict.fromkeys(("requests", "bytes_out", "bytes_in", "errors"), accept.count)
_CODE_RULES = dict.fromkeys(("cpu_us", "max_rss_bytes"), accept.count)


def ai_group(words: Mapping[str, object], faults: Faults) -> Group:
    """One AI record. Without any counter its quality is `missing`; with one that cannot be read, `partial`."""
    group: Group = {}
    rest: dict[str, object] = {}
    for word, value in words.items():
        # Nearly every value is a plain number or a short plain text: then no rule has to be asked.
        if (type(value) is int and word in _COUNTED and 0 <= value <= accept.INT64) or (
            type(value) is str and word in _TEXTS and len(value) <= accept.TEXT and value.isascii()
        ):
            group[word] = value
        else:
            rest[word] = value
    if rest:
        group |= accept.take(rest, _AI_RULES, faults, "node.ai")
    if "quality" not in group:
        group["quality"] = _quality(words, group)
    if "total_tokens" not in group:
        total = group.get("input_tokens", 0) + group.get("output_tokens", 0)
        group["total_tokens"] = min(total, accept.INT64)
    return group


def _quality(words: Mapping[str, object], group: Group) -> Quality:
    given = [name for name in words if name in _COUNTED and words[name] is not None]
    units, kept = words.get("units"), group.get("units")
    cut = units is not None and (kept is None or (isinstance(units, Mapping) and len(kept) < len(units)))
    if cut or any(name not in group for name in given):
        return Quality.PARTIAL
    return Quality.REPORTED if given or kept else Quality.MISSING


def http_group(words: Mapping[str, object], faults: Faults) -> Group:
    """One HTTP record."""
    return accept.take(words, _HTTP_RULES, faults, "node.http")


def plugin_group(words: Mapping[str, object], faults: Faults) -> Group:
    """One plugin record."""
    return accept.take(words, _PLUGIN_RULES, faults, "node.plugin")


def breach_group(what: str, reason: object) -> Group:
    """One breach of `memory` or `timeout`. Raises KeyError for anything else."""
    return {BREACHES[what]: 1, "breach_reason": accept.text(str(reason)[:1_024])}


def code_group(words: Mapping[str, object], faults: Faults) -> Group:
    """One record of a process."""
    return accept.take(words, _CODE_RULES, faults, "node.code")


_READERS = {"ai": ai_group, "http": http_group, "plugin": plugin_group, "code": code_group}


def groups_of(use: Mapping[str, Any], faults: Faults) -> Iterator[tuple[str, Group]]:
    """The records in `UseWords`, by kind. What is no record is noted and left out."""
    for kind, given in use.items():
        for words in () if given is None else given if isinstance(given, list | tuple) else (given,):
            if isinstance(words, Mapping) and kind in _READERS:
                yield kind, _READERS[kind](words, faults)
            else:
                faults.note(f"use.{kind}", "not a mapping of fields")
