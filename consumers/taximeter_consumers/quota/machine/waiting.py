"""Commands that wait for facts: one queue for each root, first come, first served.

A command whose caller has given up meanwhile (`wait_ms`, or a release) is answered UNAVAILABLE instead of being
decided: a hold that nobody knows of would only stand in the way until it expires.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from taximeter_consumers.quota.machine import answering
from taximeter_consumers.quota.machine.effects import Effect, Load
from taximeter_consumers.quota.machine.roots import Parked, Root
from taximeter_consumers.quota.machine.turn import Turn
from taximeter_schemas.quota.commands import Reserve

Decide = Callable[[Turn, Parked], list[Effect]]


def missing(root: Root, parked: Parked) -> list[str]:
    """The levels without whose facts it cannot be decided. An inner hold needs none, nor does an account that moved."""
    command = parked.command
    if (isinstance(command, Reserve) and command.parent is not None) or root.moved_to(parked):
        return []
    return root.unknown(parked)


def awaited_by_parked(root: Root) -> set[str]:
    """The levels whose facts somebody waits for."""
    return {key for parked in root.parked.values() for key in missing(root, parked)}


def park(turn: Turn, parked: Parked) -> list[Effect]:
    """Let a command wait. Facts are asked for once, however many wait for them."""
    turn.root.parked[parked.offset] = parked
    turn.changed_parked(parked.offset)
    turn.name(turn.root.levels_of(parked.levels))
    return _wanted(turn, [parked])


def given_up(turn: Turn, hold_id: str) -> list[Effect]:
    """Answers the reserves of a hold that wait: their caller wants it no more. Nothing where none waits."""
    effects: list[Effect] = []
    for offset, parked in list(turn.root.parked.items()):
        command = parked.command
        if isinstance(command, Reserve) and not command.dry_run and command.hold_id == hold_id:
            effects.append(answering.unavailable(command, f"hold {hold_id} was released before it was decided on"))
            del turn.root.parked[offset]
            turn.changed_parked(offset)
    if effects:
        # As whoever takes over knows it: by those that still wait.
        turn.root.awaited = awaited_by_parked(turn.root)
    return effects


def drained(turn: Turn, decide: Decide, unavailable: Collection[str] = ()) -> list[Effect]:
    """Decide what no longer has to wait, in order; ask anew for what is still wanted and not on its way."""
    effects: list[Effect] = []
    root = turn.root
    while root.parked:
        offset, parked = next(iter(root.parked.items()))
        if parked.is_late(turn.now):
            waited = f"facts of {parked.command.subject.root} did not come within {parked.command.wait_ms:,} ms"
            effects.append(answering.unavailable(parked.command, waited))
        elif unknown := missing(root, parked):
            silent = [key for key in unknown if key in unavailable]
            if not silent:
                break
            reason = f"what {', '.join(silent)} has used is not known: ClickHouse does not answer"
            effects.append(answering.unavailable(parked.command, reason))
        else:
            effects.extend(decide(turn, parked))
        del root.parked[offset]
        turn.changed_parked(offset)
    on_their_way, root.awaited = root.awaited, set()
    return effects + _wanted(turn, list(root.parked.values()), on_their_way)


def _wanted(turn: Turn, waiting: list[Parked], on_their_way: Collection[str] = ()) -> list[Effect]:
    loads: list[Effect] = []
    for parked in waiting:
        unknown = missing(turn.root, parked)
        if any(key not in turn.root.awaited and key not in on_their_way for key in unknown):
            loads.append(Load(turn.root.name, parked.command.subject))
        turn.root.awaited.update(unknown)
    return loads
