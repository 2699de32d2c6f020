"""Which part of the money is held to account: an account or all, whole hours (UTC) or all time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True)
class MoneyScope:
    """No account: all. The hours from `since` on and before `until`; None: without an end on that side."""

    account: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def has_times(self) -> bool:
        """Whether time is bounded."""
        return self.since is not None or self.until is not None

    def in_hours(self) -> MoneyScope:
        """The same, widened to whole hours."""
        since = self.since and _hour(self.since)
        until = self.until and (_hour(self.until) if _hour(self.until) == self.until else _hour(self.until) + HOUR)
        return replace(self, since=since, until=until)

    def kept_from(self, horizon: int) -> MoneyScope:
        """The same without what is before the horizon of raw events (Unix microseconds, a whole hour)."""
        kept = datetime.fromtimestamp(horizon // 1_000_000, UTC)
        return replace(self, since=kept) if horizon and (self.since is None or self.since < kept) else self

    def times(self, column: str) -> str:
        """The condition that a column of times lies in the hours."""
        bounds = []
        if self.since is not None:
            bounds.append(f"{column} >= toDateTime64({{since:Int64}}, 0, 'UTC')")
        if self.until is not None:
            bounds.append(f"{column} < toDateTime64({{until:Int64}}, 0, 'UTC')")
        return " AND ".join(bounds) or "true"

    def parameters(self, accounts: Sequence[str]) -> dict[str, Any]:
        """The parameters of every query: the accounts that it is about, and the hours."""
        return {
            "accounts": list(accounts),
            **{
                name: int(moment.timestamp())
                for name, moment in (("since", self.since), ("until", self.until))
                if moment
            },
        }


ACCOUNTS: Final = "account_id IN {accounts:Array(String)}"


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
