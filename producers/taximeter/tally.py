"""The tally of a node: many records added up to its own sums. Pure.

Records of the same model (provider, model, usage type, service tier, quality) become one. A part that states its cost
is never merged with one that does not, so no stated cent is lost and none is invented. A call that may have a price for
long prompts stays alone, because that price is asked of one call. Sums stop at the largest 64-bit number.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import zip_longest
from typing import NamedTuple

from taximeter import accept
from taximeter.use import AI_COUNTS, Group
from taximeter_schemas.words import Quality

LONGEST_ADDED = 30_000
"""Input tokens of the longest call that is added to others: the lowest limit of a price for long prompts is 32,000."""


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
        """How many sums it keeps, which grows with every new model, plugin and unit, and with every long call."""
        units = sum(len(ai["units"]) for ai in self._ai.values() if "units" in ai)
        return len(self._ai) + units + sum(1 + len(plugin["custom_units"]) for plugin in self._plugin.values())

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
    key: tuple[object, ...] = (
        group.get("provider"), group.get("model"), group.get("usage_type"), group.get("service_tier") or "",
        group["quality"], cost is not None,
    )  # fmt: skip
    if group.get("input_tokens", 0) > LONGEST_ADDED and _requests(group) <= 1:
        # No other has this number of parts before it.
        key = (*key, len(parts))
    known = parts.get(key)
    if known is None:
        parts[key] = dict(group)
        return
    _merge_units(known, group)
    for name in AI_COUNTS:
        if name in group:
            known[name] = min(known.get(name, 0) + group[name], accept.INT64)
    if cost is not None:
        known["reported_cost"] = accept.EXACT.add(known["reported_cost"], cost)
    if group.get("response_id"):
        known["response_id"] = group["response_id"]


def _merge_units(known: Group, group: Group) -> None:
    """Before the counters are added: those tell whether a record without `requests` is a call."""
    requests = min(_requests(known) + _requests(group), accept.INT64)
    units = dict(known.get("units", ()))
    for unit, count in group.get("units", {}).items():
        units[unit] = min(units.get(unit, 0) + count, accept.INT64)
    if requests > 1:
        units["requests"] = requests
    if units:
        known["units"] = units


def _requests(group: Group) -> int:
    """How many calls a record adds up. One that counted nothing, such as a call that failed, is none."""
    units = group.get("units", {})
    if "requests" in units:
        return int(units["requests"])
    if group.get("total_tokens"):
        return 1
    counted = any(group.get(name) for name in AI_COUNTS) or any(units.values()) or "reported_cost" in group
    return int(counted or group["quality"] is Quality.MISSING)


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
