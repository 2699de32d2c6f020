"""What time alone does, once a minute of the log: the first record of a minute does it before its own turn.

It runs by the log's own time, so it happens at the same record however often the log is read. Holds do not expire here:
they do so to the microsecond.
"""

from __future__ import annotations

from taximeter_consumers.quota.machine.holds import REMEMBER
from taximeter_consumers.quota.machine.lifecycle import finish, forgotten
from taximeter_consumers.quota.machine.turn import Turn


def swept(turn: Turn) -> int:
    """Forget what is over and what nobody names; as of when facts must be that make what was dropped known again (-1:
    nothing was dropped)."""
    root = turn.root
    for top in list(root.closing.values()):
        finish(turn, top)
    for top in list(root.over.values()):
        if turn.now >= top.closed_at + REMEMBER:
            forgotten(turn, top)
    floor = -1
    for level in list(root.levels.values()):
        over = [told for told, ends_at in level.told.items() if ends_at <= turn.now]
        for told in over:
            del level.told[told]
        if not level.holds and turn.now >= level.forgotten_from:
            del root.levels[level.key]
            floor = max(floor, level.needs)
            turn.changed_level(level)
        elif over:
            turn.changed_level(level)
    return floor
