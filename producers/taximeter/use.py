"""What a node used: the words of `node.ai(...)`, and the tally that adds up many records to the node's own sums.

Records of the same model (provider, model, usage type, quality) become one. A part that states its cost is never merged
with one that does not, so no stated cent is lost and none is invented. Sums stop at the largest 64-bit number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import zip_longest
from typing import Any, NamedTuple, TypedDict

from taximeter import accept
from taximeter.faults import Faults
from taximeter_schemas.words import Quality, UsageType


class AiCounters(TypedDict, total=False):
    """The counters of one AI call. `input_tokens` includes cache reads and writes, `output_tokens` reasoning."""

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
    given = [name for name in words if name in _COUNTED and words[name] is not None]
    if "quality" not in group:
        unread = any(name not in group for name in given)
        group["quality"] = Quality.PARTIAL if unread else Quality.REPORTED if given else Quality.MISSING
    if "total_tokens" not in group:
        total = group.get("input_tokens", 0) + group.get("output_tokens", 0)
        group["total_tokens"] = min(total, accept.INT64)
    return group


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


class Used(NamedTuple):
    """The sums of a node: one AI group per model and one plugin group per plugin."""

    ai: list[Group]
    http: Group | None
    plugin: list[Group]
    code: Group | None
    breaches: Group

    @property
    def empty(self) -> bool:
        """Whether nothing was recorded."""
        return not (self.ai or self.http or self.plugin or self.code or self.breaches)

    def leaves(self) -> list[Group]:
        """The groups of each event to emit: at least one, and further ones for further models and plugins."""
        first: Group = {"http": self.http, "code": self.code, **self.breaches}
        rows: list[Group] = [{"ai": ai, "plugin": plugin} for ai, plugin in zip_longest(self.ai, self.plugin)] or [{}]
        rows[0] |= first
        return [{name: group for name, group in row.items() if group is not None} for row in rows]


class Tally:
    """Adds up the groups of one node. For one thread."""

    __slots__ = ("_ai", "_breaches", "_code", "_http", "_plugin")

    def __init__(self) -> None:
        self._ai: dict[tuple[object, ...], Group] = {}
        self._http: Group | None = None
        self._plugin: dict[str, Group] = {}
        self._code: Group | None = None
        self._breaches: Group = {}

    @property
    def parts(self) -> int:
        """How many sums it keeps, which grows with every new model, plugin and unit."""
        return len(self._ai) + sum(1 + len(plugin["custom_units"]) for plugin in self._plugin.values())

    def add(self, kind: str, group: Group) -> None:
        """Add a group of kind ai, http, plugin, code or breach. The group is not changed."""
        match kind:
            case "ai":
                _merge_ai(self._ai, group)
            case "http":
                self._http = _sum(self._http, group)
            case "plugin":
                _merge_plugin(self._plugin, group)
            case "code":
                peak = max((self._code or {}).get("max_rss_bytes", 0), group.get("max_rss_bytes", 0))
                self._code = _sum(self._code, group) | {"max_rss_bytes": peak}
            case "breach":
                _merge_breach(self._breaches, group)

    def take_over(self, other: Tally) -> None:
        """Add all that another tally has."""
        used = other.close()
        for ai in used.ai:
            self.add("ai", ai)
        for plugin in used.plugin:
            self.add("plugin", plugin)
        for kind, group in (("http", used.http), ("code", used.code), ("breach", used.breaches)):
            if group:
                self.add(kind, group)

    def close(self) -> Used:
        """The sums."""
        return Used(list(self._ai.values()), self._http, list(self._plugin.values()), self._code, self._breaches)


def _sum(left: Group | None, right: Group) -> Group:
    if left is None:
        return dict(right)
    return left | {name: min(left.get(name, 0) + value, accept.INT64) for name, value in right.items()}


def _merge_ai(parts: dict[tuple[object, ...], Group], group: Group) -> None:
    cost = group.get("reported_cost")
    key = (group.get("provider"), group.get("model"), group.get("usage_type"), group["quality"], cost is not None)
    known = parts.get(key)
    if known is None:
        parts[key] = dict(group)
        return
    for name in AI_COUNTS:
        if name in group:
            known[name] = min(known.get(name, 0) + group[name], accept.INT64)
    if cost is not None:
        known["reported_cost"] = accept.EXACT.add(known["reported_cost"], cost)
    if group.get("response_id"):
        known["response_id"] = group["response_id"]


def _merge_plugin(parts: dict[str, Group], group: Group) -> None:
    plugin_id = group.get("plugin_id", "")
    known = parts.setdefault(plugin_id, {"plugin_id": plugin_id, "invocations": 0, "custom_units": {}})
    known["invocations"] = min(known["invocations"] + group.get("invocations", 0), accept.INT64)
    units = known["custom_units"]
    for unit, amount in group.get("custom_units", {}).items():
        units[unit] = accept.EXACT.add(units.get(unit, Decimal(0)), amount)


def _merge_breach(known: Group, group: Group) -> None:
    for name, value in group.items():
        if name == "breach_reason":
            known[name] = value or known.get(name, "")
        else:
            known[name] = min(known.get(name, 0) + value, accept.INT32)
