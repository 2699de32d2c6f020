"""Verdicts on what moves: the sink, the dead letters, the rollups, the quota service. Pure.

Red is what stands still. A group without members is red as soon as it has ever committed or anything waits: who stopped
the last sink is told so at once. A sink that was killed stays a member until its session ends; while events come, it is
seen before, because what waits grows old and nothing is stored. A pipeline that nobody has used yet is yellow.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from taximeter_infra.status.facts import Trouble, seen
from taximeter_infra.status.judge_servers import AWAY
from taximeter_infra.status.verdicts import Level, Line, long, many

if TYPE_CHECKING:
    from taximeter_infra.status.facts import Facts, Group, Stored

STILL_SECONDS: Final = 5.0
"""Records that have waited so long, while nothing moved, wait for somebody who is not there."""
STOPPED_SECONDS: Final = 60.0
"""The same for one partition while others go on: a bundle takes from all of them."""
BEHIND_SECONDS: Final = 30.0
ROLLUPS_LATE_SECONDS: Final = 15.0
ROLLUPS_STILL_SECONDS: Final = 60.0

_START: Final = "start it: taximeter sink"
_AGAIN: Final = "look again; if it stays, look at the load and the log of the server, and at what this user may do"
_AGELESS: Final = "look again; if it stays, a read of one record from the topic takes longer than 0.8 s: look at Kafka"


def sink(facts: Facts, before: Facts | None) -> Line:
    """Whether events are stored, and how far behind."""
    group = facts.sink
    if isinstance(group, Trouble):
        return _unseen("sink", group, facts)
    earlier = None if before is None else seen(before.sink)
    stored = seen(facts.stored)
    last = None if stored is None else stored.last_stored_seconds
    since = "" if last is None else f"; the last batch was stored {long(last)} ago"
    ever = stored is not None and stored.ever
    if ever and last is None:
        since = "; the last batch was stored days ago"
    if not group.members:
        if group.committed or group.records or ever:
            wait = f"{_waiting(group)} and " if group.records else ""
            return Line("sink", Level.RED, f"{wait}no sink runs{_within(group)}{since}", _START)
        return Line("sink", Level.YELLOW, "nobody stores events yet", _START)
    # The group has what the last commits said; a bundle that was just stored may be committed in a moment.
    quiet = last is None or last > STILL_SECONDS
    if quiet and _stands_still(group, earlier):
        mend = "look at its log: `not stored yet` names what ClickHouse refused; is it alive?"
        return Line("sink", Level.RED, f"{_waiting(group)} and nothing is stored{since}", mend)
    if stopped := stopped_partitions(group, stored, earlier):
        mend = "look at its log for PARTITION STOPPED; docs/operations.md has the mend"
        return Line("sink", Level.RED, f"partitions {_listed(stopped)} stand still; {_waiting(group)}", mend)
    said = f"{many(group.members, 'member')}, {_waiting(group)}{since}"
    if (group.oldest_seconds or 0.0) > BEHIND_SECONDS:
        return Line("sink", Level.YELLOW, said, "if it does not catch up: more sinks, up to one for each partition")
    if group.ageless:
        return Line("sink", Level.YELLOW, said, _AGELESS)
    return Line("sink", Level.GREEN, said)


def stopped_partitions(group: Group, stored: Stored | None, before: Group | None = None) -> list[int]:
    """Partitions whose records have waited for a minute in which nothing of theirs was stored.

    Where nobody knows how long they wait, they must be there at both looks. A commit in between clears any."""
    if stored is None:
        return []
    return sorted(
        number
        for number, one in group.waiting.items()
        if stored.stored_seconds.get(number, inf) > STOPPED_SECONDS
        and (one.seconds > STOPPED_SECONDS if one.seconds is not None else before and number in before.waiting)
        and (before is None or before.committed.get(number) == group.committed.get(number))
    )


def letters(facts: Facts) -> Line:
    """Whether records could not be stored."""
    found = facts.letters
    if isinstance(found, Trouble):
        away = isinstance(facts.cluster, Trouble)
        return Line("dead letters", Level.YELLOW, AWAY if away else found.problem, "" if away else found.mend)
    left = max(found.records - found.decided, 0)
    if not left:
        return Line("dead letters", Level.GREEN, f"none open, {found.decided:,} decided" if found.decided else "none")
    ago = "" if found.last_seconds is None else f" {long(found.last_seconds)} ago"
    last = f", the last{ago}: {found.last_reason}" if found.last_reason else ""
    return Line(
        "dead letters",
        Level.YELLOW,
        f"{many(left, 'record')}{last}",
        "taximeter dlq list: which are open, and why",
    )


def rollups(facts: Facts) -> Line:
    """Whether what is stored is rolled up."""
    stored = facts.stored
    if isinstance(stored, Trouble):
        if isinstance(facts.server, Trouble) or isinstance(facts.tables, Trouble):
            return Line("rollups", Level.YELLOW, "cannot be seen")
        # Nobody else's line is red then.
        return Line("rollups", Level.RED, f"cannot be seen: {stored.problem}", stored.mend or _AGAIN)
    lag = stored.rollup_lag_seconds
    if stored.tick_seconds is None and not lag:
        return Line("rollups", Level.GREEN, "nothing to roll up yet")
    ticked = "no tick yet" if stored.tick_seconds is None else f"last tick {long(stored.tick_seconds)} ago"
    fresh = "" if stored.freshness_seconds is None else f", {long(stored.freshness_seconds)} from event to rollup"
    said = f"{long(lag)} behind, {ticked}{fresh}" if lag else f"up to date, {ticked}{fresh}"
    mend = "is `taximeter aggregate --follow` running? Its log says what it waits for"
    if lag > ROLLUPS_LATE_SECONDS:
        return Line("rollups", Level.RED if lag > ROLLUPS_STILL_SECONDS else Level.YELLOW, said, mend)
    return Line("rollups", Level.GREEN, said)


def quota(facts: Facts, before: Facts | None) -> Line:
    """Whether questions about quotas are answered."""
    group = facts.quota
    if isinstance(group, Trouble):
        return _unseen("quota", group, facts)
    start = "start it: taximeter quota service"
    if not group.members:
        if group.committed or group.records:
            return Line(
                "quota", Level.RED, f"no quota service runs{_within(group)}; {_waiting(group, 'command')}", start
            )
        return Line("quota", Level.GREEN, "not in use")
    if _stands_still(group, None if before is None else seen(before.quota)):
        mend = "look at the log of `taximeter quota service`"
        return Line("quota", Level.RED, f"{_waiting(group, 'command')} and nothing is decided", mend)
    said = f"{many(group.members, 'member')}, {_waiting(group, 'command')}"
    if group.ageless:
        return Line("quota", Level.YELLOW, said, _AGELESS)
    return Line("quota", Level.GREEN, said)


def _unseen(name: str, group: Trouble, facts: Facts) -> Line:
    """A group that cannot be looked at: while Kafka answers, nobody else's line is red."""
    if isinstance(facts.cluster, Trouble):
        return Line(name, Level.YELLOW, AWAY)
    return Line(name, Level.RED, f"cannot be seen: {group.problem}", group.mend or _AGAIN)


def _stands_still(group: Group, before: Group | None) -> bool:
    """Whether records have waited for a while, and none was taken between two looks.

    Where nobody knows how long they wait, they must be there at both looks."""
    if not group.records or (before is not None and before.committed != group.committed):
        return False
    oldest = group.oldest_seconds
    if oldest is None:
        return before is not None and before.records > 0
    return oldest > STILL_SECONDS


def _waiting(group: Group, thing: str = "record") -> str:
    if not group.records:
        return f"no {thing} waits"
    verb = "waits" if group.records == 1 else "wait"
    oldest, worst = group.oldest_seconds, group.worst
    since = "" if oldest is None else f" since {long(oldest)} (longest in partition {worst})"
    unknown = f", age unknown in partition {_listed(group.ageless)}" if group.ageless else ""
    return f"{many(group.records, thing)} {verb}{since}{unknown}"


def _within(group: Group) -> str:
    return f" in the group {group.name}" if group.name else ""


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
