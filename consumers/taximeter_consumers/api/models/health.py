"""What operators' probes are told; nothing of any account."""

from __future__ import annotations

from pydantic import Field

from taximeter_consumers.api.models.wire import Wire


class Alive(Wire):
    """The process lives."""

    status: str = "alive"


class Ready(Wire):
    """Whether requests can be answered and what waits moves. Null: it could not be looked at."""

    is_ready: bool
    reasons: list[str] = Field(description="Why not, and what to look at")
    clickhouse: bool = Field(description="Whether it answers")
    kafka: bool | None = Field(description="Whether it answers; null where none is set")
    rollup_lag_seconds: float | None = Field(description="Age of the oldest stored batch that is not rolled up")
    sink_unread_records: int | None = Field(description="Records in Kafka that no sink has committed")
    last_stored_seconds: float | None = Field(description="Since a sink last stored a batch")
