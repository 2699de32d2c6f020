"""A partition that this process owns: its machine, and what no checkpoint has yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taximeter_consumers.quota.service.checkpoint import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_consumers.quota.machine.effects import Effect
    from taximeter_consumers.quota.machine.machine import Machine
    from taximeter_schemas.quota.answers import Alert
    from taximeter_schemas.quota.commands import Command


class Order:
    """Which record of a log comes next. Whether one was passed over, or the log has none there, shows when it is read
    again: a hole of the log ends where it ended before."""

    def __init__(self, start: int) -> None:
        self.next_offset = start
        self._doubted: tuple[int, int] | None = None

    def takes(self, offset: int, *, is_end: bool = False) -> bool:
        """Whether the record there, or the log's end (`is_end`), may be taken; if not, read on from `next_offset`."""
        jump = (self.next_offset, offset)
        if offset > self.next_offset and self._doubted != jump:
            self._doubted = jump
            return False
        self.next_offset = max(self.next_offset, offset if is_end else offset + 1)
        return True

    def go_to(self, offset: int) -> None:
        """From here on it goes on there."""
        self.next_offset = offset


class Owner:
    """Used by the loop's thread alone."""

    def __init__(self, number: int, machine: Machine, start: int) -> None:
        self.number = number
        self.machine = machine
        self.order = Order(start)
        self.at_end = False
        """Whether all that lay in the log was read."""
        self.unsaved = 0
        """Commands that no checkpoint has, those under way included."""
        self._fresh = 0
        self._alerts: list[Alert] = []
        self._returned: dict[str, bytes | None] = {}

    def apply(self, command: Command, at_us: int, offset: int) -> Sequence[Effect]:
        """Decides a command."""
        self._took_one()
        return self.machine.apply(command, at_us, offset)

    def skip(self, at_us: int, offset: int) -> Sequence[Effect]:
        """Passes by a record that is no command."""
        self._took_one()
        return self.machine.skip(at_us, offset)

    def tell(self, alert: Alert) -> None:
        """Keeps an alert for the next checkpoint."""
        self._alerts.append(alert)

    def take(self) -> Part | None:
        """What changed since the last time, for a checkpoint; None: nothing."""
        records = {**self._returned, **self.machine.take_dirty()}
        if not records and not self._alerts:
            return None
        part = Part(records, tuple(self._alerts), self.machine.next_offset, self._fresh)
        self._returned, self._alerts, self._fresh = {}, [], 0
        return part

    def saved(self, part: Part) -> None:
        """A checkpoint has it."""
        self.unsaved -= part.commands

    def give_back(self, part: Part) -> None:
        """Its checkpoint was rolled back: what changed meanwhile stays the newer."""
        self._returned = {**part.records, **self._returned}
        self._alerts = [*part.alerts, *self._alerts]
        self._fresh += part.commands

    def _took_one(self) -> None:
        self.at_end = False
        self.unsaved += 1
        self._fresh += 1
