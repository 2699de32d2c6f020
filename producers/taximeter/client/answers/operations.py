"""What operators' probes are told, and whose key it is that asks."""

from __future__ import annotations

from datetime import datetime

from taximeter.client.answers.wire import Answered


class Alive(Answered):
    """The process lives."""

    status: str = "alive"


class KeyInfo(Answered):
    """The key that asks, without its secret. `account_id` None: an operator's, which sees all accounts."""

    key_id: str
    name: str
    account_id: str | None
    scopes: tuple[str, ...]
    expires_at: datetime | None


class Ready(Answered):
    """Whether requests can be answered and what waits moves; None: it could not be looked at."""

    is_ready: bool
    reasons: tuple[str, ...]
    clickhouse: bool
    kafka: bool | None
    rollup_lag_seconds: float | None
    sink_unread_records: int | None
    last_stored_seconds: float | None
