"""The filters of usage as conditions on stored_events, every value a bound parameter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

EXTERNAL_ID: Final = "external_id"
"""The tag that names what a use is for in the customer's own books."""

_COLUMNS: Final = frozenset(
    {"account_id", "user_id", "workflow_id", "provider", "model", "context", "transaction_id", "run_id"}
)


@dataclass(frozen=True)
class UsageAsked:
    """Exact values by column, a tag, and a time by when the use ended (`until` exclusive)."""

    equals: Mapping[str, str]
    external_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def condition(self) -> str:
        """Over stored_events."""
        found = [f"{column} = {{{column}:String}}" for column in self.equals if column in _COLUMNS]
        if self.external_id is not None:
            found.append(f"tags['{EXTERNAL_ID}'] = {{{EXTERNAL_ID}:String}}")
        if self.since is not None:
            found.append("occurred_at >= {since:DateTime64(6, 'UTC')}")
        if self.until is not None:
            found.append("occurred_at < {until:DateTime64(6, 'UTC')}")
        return " AND ".join(found) or "true"

    @property
    def parameters(self) -> dict[str, Any]:
        """Of the condition."""
        times = {name: bare(moment) for name, moment in (("since", self.since), ("until", self.until)) if moment}
        tag = {} if self.external_id is None else {EXTERNAL_ID: self.external_id}
        return {**self.equals, **tag, **times}

    @property
    def question(self) -> dict[str, Any]:
        """What a cursor is of."""
        return {name: str(value) for name, value in self.parameters.items()}


def bare(moment: datetime) -> datetime:
    """As the driver binds it: UTC without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
