"""The decision machine of one partition: a pure function of the log, its records' own times included.

No clock, no chance, no I/O. Two machines that read the same log are equal, bit for bit, and so is one that was restored
from a checkpoint and reads the rest. A crash loses only memory. Not for several threads at once: whoever applies
records also takes what changed.

Where the rules of counting leave a choice, the safe side is taken, so that use is never counted short:
* What is visible of a transaction, and that all is complete, count at a level only with that level's own facts: facts
  that name some levels of a hold alone change nothing at the others. So facts should name all levels of the holds
  whose transactions they name, changed or not; else these claim longer than they must, never too short.
* What is visible of one transaction never makes up for another's (claims.py), and an inner hold cannot draw what the
  work of the outer one itself has visibly used.
* A settled hold claims what is not visible until all is complete as of `LINGER` after it was closed, not as of its
  closing: events may reach Kafka after the confirm. A late confirm counts after an expiry and after a release.
* A denial that is known goes before what is not known; a command whose caller has gone is not decided any more.
* Facts that are older than what a dropped level knew do not make it known again.
What it cannot know: facts as of later that lack what earlier ones had (`as_of` must order the reads); use without holds
between two facts; holds that an account had under the root which it left; a hold id that is used for other work after
it was forgotten, whose old events then count as visible; events whose own time lies outside of the minutes in which
their hold was open.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext

from taximeter_consumers.quota.machine import answering, deciding, lifecycle
from taximeter_consumers.quota.machine.adopt import adopted
from taximeter_consumers.quota.machine.alerting import reached
from taximeter_consumers.quota.machine.effects import AskQuote, Effect, Load
from taximeter_consumers.quota.machine.numbers import EXACT, canonical_amounts
from taximeter_consumers.quota.machine.records import (
    PARTITION,
    Meta,
    hold_record,
    key_text,
    level_record,
    meta_of,
    meta_record,
    parked_record,
)
from taximeter_consumers.quota.machine.restoring import roots_of
from taximeter_consumers.quota.machine.roots import Root
from taximeter_consumers.quota.machine.sweep import swept
from taximeter_consumers.quota.machine.turn import HOLD, LEVEL, PARKED, Expiry, Key, Turn
from taximeter_consumers.quota.machine.waiting import drained, missing
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.answers import Standing
from taximeter_schemas.quota.commands import Command, Confirm, Facts, Quote, Release, Reserve, Show, root_of
from taximeter_schemas.quota.limits import MINUTE
from taximeter_schemas.quota.meters import ZERO
from taximeter_schemas.quota.subject import partition_of


@dataclass(frozen=True, slots=True)
class Outstanding:
    """What is open: how many holds and leases (holds within others not among them), and what the leases hold, by
    meter. That is the most by which gates can overshoot."""

    holds: int
    leases: int
    leased: Mapping[str, Decimal]


class Machine:
    """Decides the commands of partition `partition` of `partitions` (0: not said, and not checked)."""

    def __init__(self, partition: int, partitions: int = 0) -> None:
        self.partition = partition
        self._partitions = partitions
        self.next_offset = 0
        """The offset of the record to apply next, or below."""
        self.now = 0
        """The time of the log, Unix microseconds."""
        self._floor = -1
        self._roots: dict[str, Root] = {}
        self._expiries: list[Expiry] = []
        self._dirty: dict[Key, None] = {}
        self._is_dirty = False

    @classmethod
    def restored(cls, partition: int, records: Mapping[str, bytes], partitions: int = 0) -> Machine:
        """The machine whose records these are (all that were taken, merged by key). Raises Misconfigured if they were
        written when there was another number of partitions."""
        machine = cls(partition, partitions)
        if not records:
            return machine
        if PARTITION not in records:
            raise Misconfigured(
                f"the state of partition {partition} of the quotas has lost its record {PARTITION!r}",
                mend="end every quota service, delete the topic of the quota state and the group's offsets, and create"
                " it anew; open holds are lost by it",
            )
        meta = meta_of(records[PARTITION])
        if partitions and meta.partitions and meta.partitions != partitions:
            raise Misconfigured(
                f"the state of quotas was written when there were {meta.partitions} partitions, and there are"
                f" {partitions} now: roots are decided elsewhere than they were",
                mend=f"set the partitions of the quota topics back to {meta.partitions}; or let nobody ask, delete the"
                " topics of quotas and create them anew (open holds are lost by it)",
            )
        machine._partitions = partitions or meta.partitions
        machine.next_offset, machine.now, machine._floor = meta.next_offset, meta.now, meta.floor
        with localcontext(EXACT):
            machine._roots = roots_of(records)
        for root in machine._roots.values():
            for hold in root.holds.values():
                machine._turn(root).watch(hold)
        return machine

    def apply(self, command: Command, at_us: int, offset: int) -> list[Effect]:
        """Decides a command that the log has at `offset` since `at_us` (Unix microseconds). One that was applied before
        changes nothing."""
        if offset < self.next_offset:
            return []
        with localcontext(EXACT):
            effects = self._pass_time(at_us, offset)
            return effects + self._apply(command, offset)

    def skip(self, at_us: int, offset: int) -> list[Effect]:
        """Passes by a record that is no command: only its time counts."""
        if offset < self.next_offset:
            return []
        with localcontext(EXACT):
            return self._pass_time(at_us, offset)

    def take_dirty(self) -> dict[str, bytes | None]:
        """The records that changed since the last call; None: deleted."""
        if not self._is_dirty:
            return {}
        taken = {key_text(key): self._record(key) for key in self._dirty}
        taken[PARTITION] = self._meta()
        self._dirty, self._is_dirty = {}, False
        return taken

    def records(self) -> dict[str, bytes]:
        """All records, changed or not: what everything that was ever taken comes to."""
        found = {PARTITION: self._meta()}
        for name, root in self._roots.items():
            found |= {key_text((LEVEL, name, key)): level_record(level) for key, level in root.levels.items()}
            found |= {key_text((HOLD, name, hold_id)): hold_record(hold) for hold_id, hold in root.holds.items()}
            found |= {key_text((PARKED, name, str(at))): parked_record(one) for at, one in root.parked.items()}
        return found

    def roots(self) -> tuple[str, ...]:
        """All roots of which anything is known, in order."""
        return tuple(sorted(self._roots))

    def levels(self, root: str) -> tuple[str, ...]:
        """The levels of a root of which there are facts, in order."""
        return tuple(sorted(self._roots[root].levels)) if root in self._roots else ()

    def open_transactions(self, root: str) -> tuple[str, ...]:
        """The transactions of a root of which it matters what is visible."""
        return deciding.standing_transactions(self._roots[root].holds.values()) if root in self._roots else ()

    def parked(self) -> tuple[Load, ...]:
        """What the commands that wait, wait for: to be asked again after a restore. The same may come twice."""
        return tuple(
            Load(name, parked.command.subject)
            for name in self.roots()
            for parked in self._roots[name].parked.values()
            if missing(self._roots[name], parked)
        )

    def standings(self) -> Iterator[tuple[str, Standing]]:
        """How every limit stands, with its root. To be read before the next record is applied."""
        for name in self.roots():
            for standing in self.standings_of(name):
                yield name, standing

    def standings_of(self, root: str) -> list[Standing]:
        """How every limit of one root stands."""
        with localcontext(EXACT):
            return [one for key in self.levels(root) for one in self._roots[root].levels[key].standings(self.now)]

    def outstanding(self) -> Outstanding:
        """What is open."""
        tops = [hold for root in self._roots.values() for hold in root.holds.values() if hold.outer is None]
        leases = [hold for hold in tops if hold.is_open and hold.kind == "lease"]
        leased: dict[str, Decimal] = {}
        with localcontext(EXACT):
            for hold in leases:
                for meter, amount in hold.amounts.items():
                    leased[meter] = leased.get(meter, ZERO) + amount
            amounts = canonical_amounts(dict(sorted(leased.items())))
        return Outstanding(sum(hold.is_open for hold in tops) - len(leases), len(leases), amounts)

    def _apply(self, command: Command, offset: int) -> list[Effect]:
        name = root_of(command)
        if self._partitions and partition_of(name, self._partitions) != self.partition:
            return [] if isinstance(command, Facts) else [answering.refused(command, self._astray(name))]
        root = self._roots.get(name) or Root(name)
        turn = self._turn(root)
        effects = self._decided(turn, command, offset)
        if not root.is_empty:
            self._roots[name] = root
        return effects

    def _decided(self, turn: Turn, command: Command, offset: int) -> list[Effect]:
        if isinstance(command, Facts):
            alerts: list[Effect] = [*reached(turn, adopted(turn, command, self._floor))]
            return alerts + drained(turn, deciding.at_last, command.unavailable)
        if isinstance(command, Reserve | Show):
            return deciding.asked(turn, command, offset)
        if isinstance(command, Confirm | Release):
            return deciding.closed(turn, command)
        return [AskQuote(command)] if isinstance(command, Quote) else deciding.extended(turn, command)

    def _pass_time(self, at_us: int, offset: int) -> list[Effect]:
        """Time never goes back. What it brings happens at the first record that shows it."""
        before, self.now = self.now, max(self.now, at_us)
        self.next_offset, self._is_dirty = offset + 1, True
        while self._expiries and self._expiries[0][0] <= self.now:
            _, _, name, hold_id = heapq.heappop(self._expiries)
            root = self._roots.get(name)
            hold = None if root is None else root.holds.get(hold_id)
            if root is not None and hold is not None and hold.is_open and hold.expires_at <= self.now:
                lifecycle.expired(self._turn(root), hold)
        return self._sweep() if before // MINUTE != self.now // MINUTE else []

    def _sweep(self) -> list[Effect]:
        effects: list[Effect] = []
        for name in self.roots():
            root = self._roots[name]
            turn = self._turn(root)
            self._floor = max(self._floor, swept(turn))
            if root.parked:
                effects.extend(drained(turn, deciding.at_last))
            if root.is_empty:
                del self._roots[name]
        return effects

    def _turn(self, root: Root) -> Turn:
        return Turn(root, self.now, self._dirty, self._expiries)

    def _meta(self) -> bytes:
        return meta_record(Meta(self.next_offset, self.now, self._partitions, self._floor))

    def _record(self, key: Key) -> bytes | None:
        kind, name, what = key
        root = self._roots.get(name)
        if root is None:
            return None
        if kind == LEVEL:
            return level_record(root.levels[what]) if what in root.levels else None
        if kind == HOLD:
            return hold_record(root.holds[what]) if what in root.holds else None
        return parked_record(root.parked[int(what)]) if int(what) in root.parked else None

    def _astray(self, name: str) -> str:
        place = partition_of(name, self._partitions)
        return f"{name} is decided in partition {place} of {self._partitions}, and this was sent to {self.partition}"
