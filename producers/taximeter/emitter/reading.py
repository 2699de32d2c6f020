"""What the emitter's thread makes of an emission: the values of each event, read, added up, and without secrets. Pure.

The first event of an attempt has its execution, duration, HTTP, code and breaches; each further model or plugin is an
event of its own with `executions = 0`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from taximeter.accept import DEBUG
from taximeter.emission import Emission, Notes
from taximeter.faults import Faults
from taximeter.redact import redact, redact_pair
from taximeter.seen import Seen, without_tapped
from taximeter.tally import Tally, Used
from taximeter.use import Group, ai_group, http_group
from taximeter_schemas.words import Kind, Outcome

ERROR_LIMIT = 500
_APART = 4_096
_TEXTS = ("error_message", "description", "breach_reason")


def fold(notes: Notes, faults: Faults) -> list[Any]:
    """Many notes as few: what one observer alone can tell is added up, what several may have seen stays apart.

    Beyond 4,096 calls apart they are settled among themselves and added up too: memory goes before the last doubt.
    """
    tally = Tally()
    apart: list[Any] = []
    for kind, words in _pairs(notes):
        if kind == "tally":
            tally.take_over(words)
        elif kind in ("tapped", "claimed") or (kind == "ai" and words.get("response_id")):
            apart += (kind, words)
        else:
            tally.add(*_read(kind, words, faults))
    if len(apart) > 2 * _APART:
        tally.take_over(_sum_up(apart, faults, Seen()))
        apart = []
    return ["tally", tally, *apart]


def used_by(notes: Notes, faults: Faults, seen: Seen) -> Used:
    """The sums of an emission, each model call once."""
    return _sum_up(notes, faults, seen).close()


def _sum_up(notes: Notes, faults: Faults, seen: Seen) -> Tally:
    tally = Tally()
    tapped: list[Group] = []
    claims: list[Group] = []
    told: list[Group] = []
    kept = {"tapped": tapped, "claimed": claims, "ai": told}
    for kind, words in _pairs(notes):
        if kind == "tally":
            tally.take_over(words)
        elif kind in kept:
            kept[kind].append(ai_group(words, faults))
        else:
            tally.add(*_read(kind, words, faults))
    ids = _ids(tapped) if tapped else ()
    for group in told:
        response_id = group.get("response_id")
        if not response_id or (response_id not in ids and seen.counts(group, "ai")):
            tally.add("ai", group)
    for group in tapped:
        if seen.counts(group, "tapped"):
            tally.add("ai", group)
    if claims:
        said = _ids(told)
        for group in without_tapped([claim for claim in claims if claim.get("response_id") not in said], tapped):
            if seen.counts(group, "claimed"):
                tally.add("ai", group)
    return tally


def _ids(groups: list[Group]) -> set[str]:
    return {group["response_id"] for group in groups if group.get("response_id")}


def _pairs(notes: Notes) -> Iterator[tuple[str, Any]]:
    parts = iter(notes)
    return zip(parts, parts, strict=True)


def _read(kind: str, words: Any, faults: Faults) -> tuple[str, Group]:
    if kind in ("ai", "tapped", "claimed"):
        return "ai", ai_group(words, faults)
    if kind == "http":
        return kind, http_group(words, faults)
    return kind, words


def events_of(emission: Emission, faults: Faults, seen: Seen) -> list[Group]:
    """The values of each event but its id and its time: at least one for an attempt, none for use that says nothing."""
    used = used_by(emission.notes, faults, seen)
    facts: Group = {
        "kind": Kind.USAGE if emission.duration_us is None else Kind.NODE,
        "node_id": emission.node_id,
        "node_type": emission.node_type,
        "attempt": emission.attempt,
        "agent_name": emission.agent_name,
    }
    if emission.duration_us is None:
        return [] if used.empty else [{**facts, "executions": 0, **leaf} for leaf in used.leaves()]
    facts["outcome"] = conclude(emission, used, faults)
    first, *further = used.leaves()
    own: Group = {**facts, "executions": 1, "duration_us": emission.duration_us, **(emission.debug or {}), **first}
    if not further:
        return [own]
    return [own, *({**facts, "executions": 0, **leaf} for leaf in further)]


def conclude(emission: Emission, used: Used, faults: Faults) -> Outcome:
    """How the attempt ended: as it was said, else by its exception, else by a breach, else success."""
    if emission.said is not None:
        return emission.said
    try:
        if emission.given is not None:
            return Outcome(emission.given)
    except Exception as unknown:  # noqa: BLE001 - a value may raise whatever it likes when it is compared
        faults.note("node.finish", unknown)
    if emission.raised is not None:
        return emission.raised
    if "timeout_breaches" in used.breaches:
        return Outcome.TIMEOUT
    return Outcome.ERROR if "memory_breaches" in used.breaches else Outcome.SUCCESS


def without_secrets(own: Group, *, redaction: bool) -> Group:
    """Debug texts lose their secrets (unless `redaction` is off) and are cut to 500 characters."""
    for name in _TEXTS:
        if name in own:
            own[name] = (redact(own[name]) if redaction else own[name])[:ERROR_LIMIT]
    if redaction and "provider_metadata" in own:
        own["provider_metadata"] = dict(redact_pair(key, value) for key, value in own["provider_metadata"].items())
    return own


def without_debug(own: Group) -> bool:
    """Take away what only helps to find a cause: the first to go under pressure. Whether there was any."""
    gone = [own.pop(name) for name in DEBUG if name in own]
    return bool(gone)
