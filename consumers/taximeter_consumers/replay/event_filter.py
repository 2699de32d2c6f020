"""Which events are wanted: by account, run, workflow, user, model and the time of the event. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from taximeter_schemas.event import MeterEvent


@dataclass(frozen=True)
class EventFilter:
    """An event is selected if each set that is not empty holds its field, and it occurred from `occurred_from`
    (inclusive) until `occurred_until` (exclusive). A model is one as events call it, with or without its provider:
    `gpt-5` or `openai/gpt-5`; events without a model have none of them."""

    run_ids: frozenset[str] = frozenset()
    account_ids: frozenset[str] = frozenset()
    workflow_ids: frozenset[str] = frozenset()
    user_ids: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    occurred_from: datetime | None = None
    occurred_until: datetime | None = None

    @property
    def selects_all(self) -> bool:
        """Whether there is no condition, so that nothing needs to be decoded for it."""
        return self == EventFilter()

    def selects(self, event: MeterEvent) -> bool:
        """Whether the event is wanted."""
        return (
            (not self.run_ids or event.run_id in self.run_ids)
            and (not self.account_ids or event.account_id in self.account_ids)
            and (not self.workflow_ids or event.workflow_id in self.workflow_ids)
            and (not self.user_ids or event.user_id in self.user_ids)
            and (not self.models or self._is_of_model(event))
            and (self.occurred_from is None or event.occurred_at >= self.occurred_from)
            and (self.occurred_until is None or event.occurred_at < self.occurred_until)
        )

    def _is_of_model(self, event: MeterEvent) -> bool:
        if event.ai is None:
            return False
        return not self.models.isdisjoint((event.ai.model, f"{event.ai.provider}/{event.ai.model}"))
