"""What becomes of a hold: opened, extended, settled, released, expired, done, forgotten.

Each step leaves the totals of the holds around it and of its levels right. A hold is done when nothing more can come of
it that is not in the usage: by what is visible, or because ClickHouse has all that Kafka had `LINGER` after it was
closed (`PATIENCE` after it expired). Until then it claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from taximeter_consumers.quota.machine.claims import NO_WEIGHT, changed, shift, weight, weights
from taximeter_consumers.quota.machine.decide import Verdict
from taximeter_consumers.quota.machine.holds import LINGER, PATIENCE, Hold, State
from taximeter_consumers.quota.machine.levels import count, uncount
from taximeter_consumers.quota.machine.turn import Turn
from taximeter_schemas.quota.commands import Reserve

SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a new hold belongs: the offset of its command (which may have waited), its levels, the hold around it."""

    offset: int
    levels: tuple[str, ...]
    outer: Hold | None


def opened(turn: Turn, asked: Reserve, place: Place, verdict: Verdict) -> Hold:
    """A new hold of what the verdict gives."""
    outer = place.outer
    expires_at = turn.now + asked.ttl_seconds * SECOND
    hold = Hold(
        hold_id=asked.hold_id, offset=place.offset, kind=asked.kind, amounts=verdict.amounts,
        levels=place.levels, reserved_at=turn.now,
        expires_at=expires_at if outer is None else min(expires_at, outer.expires_at), run_id=asked.subject.run_id,
        degrade_to=verdict.degrade_to, outer=outer,
    )  # fmt: skip
    turn.root.holds[hold.hold_id] = hold
    if outer is None:
        for key in hold.levels:
            turn.root.levels[key].holds += 1
    else:
        before = [NO_WEIGHT, *weights(outer)]
        outer.inners.append(hold)
        changed(hold, before)
    count(turn.root.levels, hold.top)
    turn.changed_hold(hold)
    turn.watch(hold)
    return hold


def extended(turn: Turn, hold: Hold, ttl_seconds: int) -> None:
    """An open hold lasts longer, never less long, and never longer than the one around it."""
    until = turn.now + ttl_seconds * SECOND
    if hold.outer is not None:
        until = min(until, hold.outer.expires_at)
    if until > hold.expires_at:
        hold.expires_at = until
        turn.changed_hold(hold)
        turn.watch(hold)


def settled(turn: Turn, hold: Hold, actual: Mapping[str, Decimal]) -> None:
    """Its work is done. What is still open within it counts as wholly used."""
    before = weights(hold)
    for inner in hold.within():
        if inner.is_open:
            inner.state, inner.closed_at = State.SETTLED, turn.now
            turn.changed_hold(inner)
    hold.state, hold.actual, hold.closed_at = State.SETTLED, dict(actual), turn.now
    changed(hold, before)
    _closed(turn, hold, turn.now + LINGER)


def released(turn: Turn, hold: Hold) -> None:
    """Its work is not done, nor any that is still open within it; what inner holds have used stays."""
    before = weights(hold)
    for inner in hold.inners:
        _released_within(turn, inner)
    hold.state, hold.actual, hold.closed_at = State.RELEASED, {}, turn.now
    changed(hold, before)
    _closed(turn, hold, turn.now + LINGER)


def expired(turn: Turn, hold: Hold) -> None:
    """Nobody closed it in time. It claims as before until what may have been done under it must be visible."""
    for inner in hold.within():
        if inner.is_open:
            inner.state, inner.closed_at = State.EXPIRED, inner.expires_at
            turn.changed_hold(inner)
    hold.state, hold.closed_at = State.EXPIRED, hold.expires_at
    _closed(turn, hold, hold.expires_at + PATIENCE)


def finish(turn: Turn, top: Hold) -> None:
    """Let a closed top hold claim nothing more, if it is done."""
    if not _is_past(turn, top):
        return
    uncount(turn.root.levels, top)
    top.done = True
    turn.root.closing.pop(top.hold_id, None)
    turn.root.over[top.hold_id] = top
    turn.changed_hold(top)


def forgotten(turn: Turn, top: Hold) -> None:
    """Drop a hold that is done, and all within it."""
    holds = [top, *top.within()]
    turn.changed_hold(*holds)
    for hold in holds:
        del turn.root.holds[hold.hold_id]
    del turn.root.over[top.hold_id]
    for level in turn.root.levels_of(top.levels):
        level.holds -= 1
        level.touched, level.needs = turn.now, level.as_of
        turn.changed_level(level)


def _released_within(turn: Turn, hold: Hold) -> None:
    before = weight(hold)
    for inner in hold.inners:
        _released_within(turn, inner)
    if hold.is_open:
        hold.state, hold.closed_at = State.RELEASED, turn.now
        turn.changed_hold(hold)
    if hold.outer is not None:
        shift(hold.outer, before, weight(hold))


def _closed(turn: Turn, hold: Hold, quiet_at: int) -> None:
    top = hold.top
    top.quiet_at = max(top.quiet_at, quiet_at)
    turn.changed_hold(hold, top)
    if top.is_open:
        count(turn.root.levels, top)
        return
    if top is not hold:
        top.closed_at = max(top.closed_at, turn.now)
    # A late confirm makes one that was done claim again.
    top.done = False
    turn.root.over.pop(top.hold_id, None)
    turn.root.closing[top.hold_id] = top
    count(turn.root.levels, top)
    finish(turn, top)


def _is_past(turn: Turn, top: Hold) -> bool:
    for level in turn.root.levels_of(top.levels):
        if level.complete_until >= top.quiet_at:
            continue
        claimed = top.counted[level.key]
        if top.state is not State.EXPIRED and not any(claimed.values()):
            continue
        # No facts need ever come of what nobody limits.
        if turn.now < top.quiet_at or not level.meters.isdisjoint(claimed):
            return False
    return True
