"""What GET /v1/stream tells, event by event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from taximeter.client.answers.account import AccountUsage
from taximeter.client.answers.quota import Standing
from taximeter.client.answers.wire import Answered, Usd


class UsageChanged(AccountUsage):
    """The usage bar of an account."""

    event: Literal["usage"] = "usage"
    account_id: str = ""


class QuotaChanged(Answered):
    """How the limits of a subject stand."""

    event: Literal["quota"] = "quota"
    subject: Mapping[str, Any]
    standings: tuple[Standing, ...]


class Totals(Answered):
    """Sums of today (UTC)."""

    event: Literal["totals"] = "totals"
    since: datetime
    cost_usd: Usd
    total_tokens: int
    events: int
    ai_calls: int
    unpriced_calls: int
    unmeasured_calls: int
    estimated_calls: int


class Freshness(Answered):
    """How old the numbers may be."""

    event: Literal["freshness"] = "freshness"
    rollup_lag_seconds: float | None
    last_stored_seconds: float | None
    unread_records: int | None
    ready: bool
    reasons: tuple[str, ...]


class Trouble(Answered):
    """A server behind the API is away; the stream goes on."""

    event: Literal["trouble"] = "trouble"
    detail: str


class OtherEvent(Answered):
    """An event that this version does not know."""

    event: str
    data: Mapping[str, Any]


StreamEvent = UsageChanged | QuotaChanged | Totals | Freshness | Trouble | OtherEvent
