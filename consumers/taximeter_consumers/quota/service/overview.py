"""What the loop hands to the ticks: made anew only for roots whose state changed, so that a tick costs what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taximeter_consumers.quota.machine.records import key_parts
from taximeter_consumers.quota.service.ticks import Snapshot
from taximeter_consumers.quota.truth.known import Known
from taximeter_consumers.quota.truth.state_table import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from taximeter_consumers.quota.service.owner import Owner


class Overview:
    """Used by the loop's thread alone."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._known: dict[int, dict[str, Known]] = {}
        self._changed: dict[int, set[str]] = {}
        self._told: dict[int, dict[str, dict[tuple[str, str], State]]] = {}

    def begin(self, owner: Owner) -> None:
        """A partition was taken over: all of it is new here."""
        self.forget([owner.number])
        self._changed[owner.number] = set(owner.machine.roots())

    def forget(self, numbers: Iterable[int]) -> None:
        """Partitions were given away."""
        for number in numbers:
            for kept in (self._known, self._changed, self._told):
                kept.pop(number, None)

    def touched(self, number: int, keys: Iterable[str]) -> None:
        """Records of the state that changed."""
        changed = self._changed.setdefault(number, set())
        changed.update(root for _, root, _ in map(key_parts, keys) if root)

    def snapshot(self, owners: Mapping[int, Owner], ahead: int | None) -> Snapshot:
        """How all owned partitions stand; standings only as far as they changed since the last time. `ahead`: as in
        `Snapshot`."""
        states: list[State] = []
        known: dict[str, Known] = {}
        for number, owner in owners.items():
            states.extend(self._of(owner))
            known.update(self._known.get(number, {}))
        return Snapshot(frozenset(owners), self._partitions, known, states, ahead)

    def _of(self, owner: Owner) -> list[State]:
        machine, found = owner.machine, []
        known = self._known.setdefault(owner.number, {})
        told = self._told.setdefault(owner.number, {})
        for root in self._changed.pop(owner.number, ()):
            levels = frozenset(machine.levels(root))
            if not levels:
                known.pop(root, None)
                told.pop(root, None)
                continue
            known[root] = Known(levels, frozenset(machine.open_transactions(root)))
            before = told.get(root, {})
            told[root] = {}
            for one in machine.standings_of(root):
                place = (one.level, one.limit_id)
                last = before.pop(place, None)
                told[root][place] = last if last and last.standing == one else State(root, one, machine.now)
                if told[root][place] is not last:
                    found.append(told[root][place])
            found += [_ended(state, machine.now) for state in before.values() if state.standing.level in levels]
        return found


def _ended(state: State, now: int) -> State:
    """A limit that counts no more ends with this window. Only just later than what was told of it: the account may be
    decided elsewhere by now, and what is told of it there counts."""
    return State(state.root, state.standing.model_copy(update={"resets_at": now}), state.as_of + 1)
