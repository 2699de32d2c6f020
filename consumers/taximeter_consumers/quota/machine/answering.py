"""Answers to commands, in words that say why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from taximeter_consumers.quota.machine.decide import Verdict
from taximeter_consumers.quota.machine.effects import Reply
from taximeter_consumers.quota.machine.holds import Hold, State
from taximeter_consumers.quota.machine.levels import Level, on_outage
from taximeter_consumers.quota.machine.numbers import canonical_amounts
from taximeter_consumers.quota.machine.roots import Root
from taximeter_schemas.quota.answers import Answer, HoldShown, Status
from taximeter_schemas.quota.commands import Asked, Reserve, Show
from taximeter_schemas.quota.wording import moment_of

MOST_SHOWN: Final = 200
_STATUS: Final = {
    State.OPEN: Status.GRANTED,
    State.SETTLED: Status.SETTLED,
    State.RELEASED: Status.RELEASED,
    State.EXPIRED: Status.RELEASED,
}


def reply(command: Asked, status: Status, **said: Any) -> Reply:
    """An answer on its way to who asked."""
    answer = Answer(command_id=command.command_id, caller=command.caller, status=status, **said)
    return Reply(answer, command.answer_to)


def of_hold(root: Root, command: Asked, hold: Hold, status: Status | None = None) -> Reply:
    """How a hold stands, as the answer to a command about it."""
    if status is None:
        status = Status.DEGRADED if hold.is_open and hold.degrade_to else _STATUS[hold.state]
    reason = f"hold {hold.hold_id} expired at {moment_of(hold.expires_at)}" if hold.state is State.EXPIRED else ""
    return reply(
        command, status, hold_id=hold.hold_id, transaction_id=hold.hold_id, amounts=canonical_amounts(hold.amounts),
        expires_at=hold.expires_at, degrade_to=hold.degrade_to, reason=reason, **_known(root.levels_of(hold.levels)),
    )  # fmt: skip


def of_verdict(command: Reserve, verdict: Verdict, hold: Hold | None, levels: Sequence[Level]) -> Reply:
    """What became of a reserve against its levels; `hold` is what was made of it."""
    said: dict[str, Any] = _known(levels) if verdict.status is not Status.UNAVAILABLE else {}
    if hold is not None:
        said |= {"transaction_id": hold.hold_id, "expires_at": hold.expires_at}
    return reply(
        command, verdict.status, hold_id=command.hold_id, amounts=canonical_amounts(verdict.amounts),
        refused_by=verdict.refused_by, warnings=verdict.warnings, degrade_to=verdict.degrade_to,
        reason=verdict.reason, **said,
    )  # fmt: skip


def moved(command: Reserve | Show, root: str) -> Reply:
    """It is decided elsewhere."""
    reason = f"{command.subject.account_id} is decided under {root} by now: ask again with its organisation"
    hold_id = command.hold_id if isinstance(command, Reserve) else ""
    return reply(command, Status.MOVED, hold_id=hold_id, moved_to=root, reason=reason)


def unavailable(command: Reserve | Show, reason: str) -> Reply:
    """What is used is not known."""
    hold_id = command.hold_id if isinstance(command, Reserve) else ""
    return reply(command, Status.UNAVAILABLE, hold_id=hold_id, reason=reason)


def refused(command: Asked, reason: str) -> Reply:
    """It makes no sense as things are."""
    return reply(command, Status.REFUSED, hold_id=getattr(command, "hold_id", ""), reason=reason)


def shown(root: Root, command: Show, levels: Sequence[Level], now: int) -> Reply:
    """Limits, use and holds of a subject: those holds that count at its narrowest level, the newest last."""
    holds = _holds(root, command, levels[-1].key)
    hidden = max(0, len(holds) - MOST_SHOWN)
    return reply(
        command, Status.SHOWN, standings=tuple(standing for level in levels for standing in level.standings(now)),
        holds=tuple(_shown(hold) for hold in holds[-MOST_SHOWN:]), hidden_holds=hidden,
        reason=f"{hidden:,} older holds are not shown" if hidden else "", **_known(levels),
    )  # fmt: skip


def _holds(root: Root, command: Show, level: str) -> list[Hold]:
    if command.only is not None:
        one = root.holds.get(command.only)
        return [one] if one is not None and level in one.levels else []
    found = (hold for hold in root.holds.values() if level in hold.levels and not hold.top.done)
    return [hold for hold in found if command.before is None or hold.offset < command.before]


def _shown(hold: Hold) -> HoldShown:
    return HoldShown(
        hold_id=hold.hold_id, kind=hold.kind, state=hold.state.value, amounts=canonical_amounts(hold.amounts),
        expires_at=hold.expires_at, run_id=hold.run_id, parent=None if hold.outer is None else hold.outer.hold_id,
        place=hold.offset,
    )  # fmt: skip


def _known(levels: Sequence[Level]) -> dict[str, Any]:
    """How old the oldest of the facts is that matter, and what counts where nobody answers."""
    limited = [level for level in levels if level.rules] or levels
    as_of = min((level.as_of for level in limited), default=0)
    return {"as_of": as_of, "on_outage": on_outage(levels)}
