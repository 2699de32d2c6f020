"""What the SDK took over and what came of it: each event that it accepted is there once, and what it dropped is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos.evidence import Evidence
from chaos.meter_journal import Metered
from chaos.nodes import NodeUse, says

Event = Mapping[str, Any]


def metered_exactly(evidence: Evidence) -> list[str]:
    """By the journals of the metered executors; of one that was killed, what its spool had accepted."""
    found: dict[str, list[Event]] = defaultdict(list)
    nodes = {node.node_id for one in evidence.metered for node in one.nodes.values()}
    for entry in evidence.entries:
        if entry.event is not None and entry.event["node_id"] in nodes:
            found[entry.event["node_id"]].append(entry.event)
    values = {entry.value for entry in evidence.entries}
    problems = [f"{name} is left in the spool" for name in evidence.left_in_spool]
    for one in evidence.metered:
        problems += [f"{one.name}: {told}" for told in _problems(one, found, killed=one.name in evidence.killed)]
        lost = sum(value not in values for value in one.spooled)
        problems += [f"{one.name}: {lost} events that the spool accepted are not in the log"] if lost else []
    if not evidence.spool_was_full:
        problems += [
            f"{one.name}: {len(one.dropped)} nodes were dropped while the spool had room"
            for one in evidence.metered
            if one.dropped
        ]
    return problems


def _problems(one: Metered, found: Mapping[str, Sequence[Event]], *, killed: bool) -> Iterable[str]:
    if one.counters is None and not killed:
        yield "it ended without closing its meter"
    for number, node in one.nodes.items():
        events = found.get(node.node_id, ())
        if number in one.dropped or number in one.refused:
            if events:
                yield f"{node.node_id} was dropped or refused and is there"
        else:
            yield from _differences(node, events, whole=one.counters is not None)
    if one.counters is not None:
        yield from _miscounted(one, one.counters)


def _differences(node: NodeUse, events: Sequence[Event], *, whole: bool) -> Iterable[str]:
    """`whole`: every event of the node must be there, and not only what is there be right."""
    expected = node.events()
    for event in events:
        match = next((one for one in expected if says(event, one)), None)
        if match is None:
            yield f"{node.node_id}: {dict(event)} is there once too often, or is not what the node used"
        else:
            expected.remove(match)
    if whole and expected:
        yield f"{node.node_id}: {len(expected)} of its events were accepted and are not there"


def _miscounted(one: Metered, counters: Mapping[str, Any]) -> Iterable[str]:
    """The SDK's own counters against what is known from outside."""
    kept = [node for number, node in one.nodes.items() if number not in one.dropped | one.refused]
    must = {
        "accepted": sum(len(node.events()) for node in kept),
        "dropped": {"full": len(one.dropped)} if one.dropped else {},
        "spilled": len(one.spooled),
        "queue_depth": 0,
        "lost_at_exit": 0,
        "hook_errors": 0,
    }
    yield from (
        f"counts {name}={counters[name]} where it is {must[name]}" for name in must if counters[name] != must[name]
    )
    if counters["accepted"] != counters["acknowledged"] + counters["spilled"]:
        yield "what it accepted is not what was acknowledged and spilled"
