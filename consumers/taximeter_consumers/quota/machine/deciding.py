"""What each command does: one function for each, from a turn and the command to effects."""

from __future__ import annotations

from collections.abc import Iterable

from taximeter_consumers.quota.machine import answering, lifecycle
from taximeter_consumers.quota.machine.alerting import reached
from taximeter_consumers.quota.machine.decide import Verdict, decided, decided_within
from taximeter_consumers.quota.machine.effects import Effect, Load, Raise
from taximeter_consumers.quota.machine.holds import DEEPEST, Hold, State
from taximeter_consumers.quota.machine.roots import Parked
from taximeter_consumers.quota.machine.turn import Turn
from taximeter_consumers.quota.machine.waiting import given_up, missing, park
from taximeter_schemas.quota.answers import Status
from taximeter_schemas.quota.commands import Confirm, Extend, Release, Reserve, Show


def asked(turn: Turn, command: Reserve | Show, offset: int) -> list[Effect]:
    """A reserve or a show: decided now, or parked. A reserve that was decided before is answered at once."""
    if isinstance(command, Reserve) and not command.dry_run and command.hold_id in turn.root.holds:
        return [answering.of_hold(turn.root, command, turn.root.holds[command.hold_id])]
    parked = Parked(command, turn.now, offset, command.subject.levels)
    if turn.root.parked or missing(turn.root, parked):
        return park(turn, parked)
    return at_last(turn, parked)


def at_last(turn: Turn, parked: Parked) -> list[Effect]:
    """Decides a reserve or a show that need not wait."""
    command, root = parked.command, turn.root
    if isinstance(command, Reserve):
        return _reserve(turn, command, parked)
    if moved_to := root.moved_to(parked):
        return [answering.moved(command, moved_to)]
    levels = root.levels_of(parked.levels)
    turn.name(levels)
    return [answering.shown(root, command, levels, turn.now)]


def closed(turn: Turn, command: Confirm | Release) -> list[Effect]:
    """A confirm or a release. One that was settled stays so; a confirm comes late, but counts, after anything else; a
    release also takes back a reserve that waits."""
    hold = turn.root.holds.get(command.hold_id)
    if hold is None:
        waited = given_up(turn, command.hold_id) if isinstance(command, Release) else []
        if not waited:
            return [_unknown(command)]
        return [*waited, answering.reply(command, Status.RELEASED, hold_id=command.hold_id)]
    alerts: list[Raise] = []
    late = isinstance(command, Confirm) and hold.state is not State.SETTLED
    if late or hold.state in (State.OPEN, State.EXPIRED):
        if isinstance(command, Confirm):
            lifecycle.settled(turn, hold, command.actual)
        else:
            lifecycle.released(turn, hold)
        alerts = reached(turn, turn.root.levels_of(hold.levels))
    return [answering.of_hold(turn.root, command, hold), *alerts]


def extended(turn: Turn, command: Extend) -> list[Effect]:
    """An extend. Only what is open can last longer."""
    hold = turn.root.holds.get(command.hold_id)
    if hold is None:
        return [_unknown(command)]
    if not hold.is_open:
        return [answering.refused(command, f"hold {hold.hold_id} is {hold.state.value}: only an open one lasts longer")]
    lifecycle.extended(turn, hold, command.ttl_seconds)
    return [answering.of_hold(turn.root, command, hold, Status.EXTENDED)]


def _reserve(turn: Turn, command: Reserve, parked: Parked) -> list[Effect]:
    root = turn.root
    known = None if command.dry_run else root.holds.get(command.hold_id)
    if known is not None:
        return [answering.of_hold(root, command, known)]
    outer = None if command.parent is None else root.holds.get(command.parent)
    if outer is None and (moved_to := root.moved_to(parked)):
        return [answering.moved(command, moved_to)]
    keys = parked.levels if outer is None else outer.levels
    levels = root.levels_of(keys)
    turn.name(levels)
    verdict = _within(turn, command, outer) if command.parent is not None else decided(levels, command, turn.now)
    hold = None
    if verdict.status in (Status.GRANTED, Status.DEGRADED) and not command.dry_run:
        hold = lifecycle.opened(turn, command, lifecycle.Place(parked.offset, keys, outer), verdict)
    effects: list[Effect] = [answering.of_verdict(command, verdict, hold, levels)]
    if verdict.status is Status.UNAVAILABLE:
        effects.append(Load(root.name, command.subject))
    return effects


def _within(turn: Turn, command: Reserve, outer: Hold | None) -> Verdict:
    if outer is None:
        reason = f"there is no hold {command.parent} under {turn.root.name}: reserve it first, with the same root"
    elif not outer.is_open:
        reason = f"hold {outer.hold_id} is {outer.state.value}: only from an open one can be drawn"
    elif outer.depth + 2 > DEEPEST:
        reason = f"holds lie {DEEPEST} deep within one another at most"
    else:
        return decided_within(outer, command)
    return Verdict(Status.REFUSED, reason=reason)


def _unknown(command: Confirm | Release | Extend) -> Effect:
    reason = f"there is no hold {command.hold_id} under {command.root}: it was never granted, or is forgotten by now"
    return answering.reply(command, Status.UNKNOWN_HOLD, hold_id=command.hold_id, reason=reason)


def standing_transactions(holds: Iterable[Hold]) -> tuple[str, ...]:
    """The transactions of which it matters what is visible: those of holds that still claim."""
    return tuple(hold.hold_id for hold in holds if not hold.top.done)
