"""Which events are wanted: by run, account and workflow. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taximeter_schemas.event import MeterEvent


@dataclass(frozen=True)
class EventFilter:
    """An event is selected if each set that is not empty holds its field."""

    run_ids: frozenset[str] = frozenset()
    account_ids: frozenset[str] = frozenset()
    workflow_ids: frozenset[str] = frozenset()

    @property
    def selects_all(self) -> bool:
        """Whether there is no condition, so that nothing needs to be decoded for it."""
        return not (self.run_ids or self.account_ids or self.workflow_ids)

    def selects(self, event: MeterEvent) -> bool:
        """Whether the event is wanted."""
        return (
            (not self.run_ids or event.run_id in self.run_ids)
            and (not self.account_ids or event.account_id in self.account_ids)
            and (not self.workflow_ids or event.workflow_id in self.workflow_ids)
        )
