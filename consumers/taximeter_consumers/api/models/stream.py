"""What `GET /v1/stream` is asked, and the data of its events."""

from __future__ import annotations

from pydantic import Field

from taximeter_consumers.api.inputs import Name
from taximeter_consumers.api.models.account import AccountUsage
from taximeter_consumers.api.models.quota import StandingAnswer
from taximeter_consumers.api.models.wire import Asked, Instant, Usd, Wire


class StreamAsked(Asked):
    """What the stream is about."""

    account_id: Name | None = Field(
        None, description="For an account's key its own; operators who leave it out see the totals of all accounts"
    )
    user_id: Name | None = Field(None, description="Narrows `totals` and `quota` to a user")


class StreamUsage(AccountUsage):
    """The event `usage`: the usage bar of the account."""

    account_id: str


class StreamSubject(Wire):
    """Whose limits they are."""

    account_id: str
    user_id: str | None


class StreamQuota(Wire):
    """The event `quota`: each limit that counts for the subject."""

    subject: StreamSubject
    standings: list[StandingAnswer]


class StreamTotals(Wire):
    """The event `totals`: today, UTC."""

    since: Instant = Field(description="When the day began")
    cost_usd: Usd
    total_tokens: int
    events: int
    ai_calls: int
    unpriced_calls: int = Field(description="Of aiCalls: costUsd lacks them")
    unmeasured_calls: int = Field(description="Of aiCalls: costUsd lacks them")
    estimated_calls: int


class StreamFreshness(Wire):
    """The event `freshness`: how far behind the numbers may be."""

    rollup_lag_seconds: float | None
    last_stored_seconds: float | None
    unread_records: int | None
    ready: bool
    reasons: list[str]


class StreamTrouble(Wire):
    """The event `trouble`: what is wrong now; numbers stand as they were until the next events."""

    detail: str
