"""The roots of a partition out of its records: the same, whatever the order of the records.

Holds and waiting commands go by the offsets of the commands that made them; an inner hold's offset is always above that
of the one around it.
"""

from __future__ import annotations

from collections.abc import Mapping

from taximeter_consumers.quota.machine.claims import NO_WEIGHT, shift, weight
from taximeter_consumers.quota.machine.holds import Hold
from taximeter_consumers.quota.machine.levels import count
from taximeter_consumers.quota.machine.records import PARTITION, hold_of, key_parts, level_of, parked_of
from taximeter_consumers.quota.machine.roots import Root
from taximeter_consumers.quota.machine.turn import HOLD, LEVEL
from taximeter_consumers.quota.machine.waiting import awaited_by_parked


def roots_of(records: Mapping[str, bytes]) -> dict[str, Root]:
    """All roots, their totals counted."""
    roots: dict[str, Root] = {}
    holds: list[tuple[Root, Hold, str | None]] = []
    for text in sorted(records):
        if text == PARTITION:
            continue
        kind, name, key = key_parts(text)
        root = roots.setdefault(name, Root(name))
        if kind == LEVEL:
            root.levels[key] = level_of(key, records[text])
        elif kind == HOLD:
            holds.append((root, *hold_of(key, records[text])))
        else:
            root.parked[int(key)] = parked_of(key, records[text])
    _tie(sorted(holds, key=lambda found: found[1].offset))
    for root in roots.values():
        root.parked = dict(sorted(root.parked.items()))
        root.awaited = awaited_by_parked(root)
        _count(root)
    return roots


def _tie(holds: list[tuple[Root, Hold, str | None]]) -> None:
    for root, hold, parent in holds:
        root.holds[hold.hold_id] = hold
        if parent is not None:
            hold.outer = root.holds[parent]
            hold.outer.inners.append(hold)
    for _, hold, _ in reversed(holds):
        if hold.outer is not None:
            shift(hold.outer, NO_WEIGHT, weight(hold))


def _count(root: Root) -> None:
    for hold in root.holds.values():
        if hold.outer is not None:
            continue
        for key in hold.levels:
            root.levels[key].holds += 1
        count(root.levels, hold)
        if hold.done:
            root.over[hold.hold_id] = hold
        elif not hold.is_open:
            root.closing[hold.hold_id] = hold
