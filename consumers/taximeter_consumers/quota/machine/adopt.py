"""Facts: what ClickHouse knows takes the place of what it knew before.

What is visible of a transaction, and until when everything is complete, count at a level only together with the usage
that came with them. Facts that name some levels of a hold alone so change nothing at its other levels: there the usage
does not include yet what became visible.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from taximeter_consumers.quota.machine.claims import changed, weights
from taximeter_consumers.quota.machine.holds import NONE, Hold
from taximeter_consumers.quota.machine.levels import Level, count
from taximeter_consumers.quota.machine.lifecycle import finish
from taximeter_consumers.quota.machine.turn import Turn
from taximeter_schemas.quota.commands import Facts, LevelFacts
from taximeter_schemas.quota.subject import LevelKind, level_key

NOTHING = LevelFacts()


def adopted(turn: Turn, facts: Facts, floor: int) -> list[Level]:
    """Take over facts; the levels for which they are new, once they are whole. Those as of before `floor` make no level
    known: what it has forgotten may not be in them."""
    fresh = []
    turn.root.awaited.difference_update(facts.levels, facts.unavailable)
    for key, known in facts.levels.items():
        level = _fresh_level(turn, key, facts.as_of, floor)
        if level is not None:
            _replace(turn, level, known, facts)
            fresh.append(level)
    _move(turn, facts, floor)
    if facts.visible and not facts.levels:
        # What is visible comes after the usage, which was told as of the same moment.
        fresh = [level for level in turn.root.levels.values() if level.as_of == facts.as_of]
    _see(turn, facts.visible, {level.key for level in fresh})
    for top in list(turn.root.closing.values()) if fresh else ():
        count(turn.root.levels, top)
        finish(turn, top)
    return [] if facts.more else fresh


def _fresh_level(turn: Turn, key: str, as_of: int, floor: int) -> Level | None:
    """The level, known or new, if facts as of then are newer than its own."""
    level = turn.root.levels.get(key)
    if level is not None:
        return level if as_of > level.as_of else None
    if as_of < floor:
        return None
    level = turn.root.levels[key] = Level(key, touched=turn.now)
    return level


def _replace(turn: Turn, level: Level, known: LevelFacts, facts: Facts) -> None:
    differs = (level.rules, level.usage) != (known.rules, known.usage)
    if differs or (known.rules and not level.is_run):
        level.touch(turn.now)
    level.as_of, level.complete_until = facts.as_of, max(level.complete_until, facts.complete_until)
    level.rules, level.usage, level.lacking = known.rules, known.usage, known.lacking
    level.moved_to = ""
    turn.changed_level(level)


def _move(turn: Turn, facts: Facts, floor: int) -> None:
    for account_id, root in facts.moved_to.items():
        key = level_key(LevelKind.ACCOUNT, account_id)
        level = turn.root.levels.get(key)
        if level is None:
            level = _fresh_level(turn, key, facts.as_of, floor)
            if level is None:
                continue
            _replace(turn, level, NOTHING, facts)
        if facts.as_of >= level.as_of:
            level.moved_to = "" if root == turn.root.name else root
            turn.changed_level(level)


def _see(turn: Turn, visible: Mapping[str, Mapping[str, Decimal]], fresh: set[str]) -> None:
    tops: dict[str, Hold] = {}
    for transaction_id, amounts in visible.items():
        hold = turn.root.holds.get(transaction_id)
        if hold is None:
            continue
        named = [key for key in hold.levels if key in fresh and hold.seen.get(key, NONE) != amounts]
        if not named:
            continue
        before = weights(hold)
        hold.seen.update(dict.fromkeys(named, amounts))
        changed(hold, before)
        turn.changed_hold(hold)
        top = hold.top
        tops[top.hold_id] = top
    for top in tops.values():
        count(turn.root.levels, top)
