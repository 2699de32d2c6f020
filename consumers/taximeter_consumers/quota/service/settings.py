"""The settings of the quota service (`TAXIMETER_QUOTA_*`) and of alerts (`TAXIMETER_ALERT_*`)."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class QuotaSettings(BaseSettings):
    """Paces and bounds of the quota service."""

    model_config = SettingsConfigDict(env_prefix="TAXIMETER_QUOTA_", frozen=True, extra="ignore", allow_inf_nan=False)

    group_id: str = Field("taximeter-quota", min_length=1, description="the Kafka consumer group")
    instance_id: str | None = Field(
        None, description="static membership: a restart under the same id takes its partitions back at once"
    )
    session_timeout_ms: int = Field(
        6_000, ge=1_000, description="silence after which a dead service loses its partitions"
    )
    tick_seconds: float = Field(1.0, gt=0, description="how often ClickHouse is asked what was used")
    facts_timeout_seconds: float = Field(
        2.0, gt=0, description="how long a reservation waits for ClickHouse before it is told that it is away"
    )
    facts_retry_seconds: float = Field(2.0, gt=0, description="how long a ClickHouse that was away is not asked again")
    quote_days: int = Field(30, ge=1, description="how far back runs count for a quote")
    quote_timeout_seconds: float = Field(20.0, gt=0, description="how long a quote may take ClickHouse")
    checkpoint_seconds: float = Field(0.1, gt=0, description="how often changed state is written to Kafka")
    backlog: int = Field(20_000, ge=1, description="decisions that no checkpoint has yet; then the service waits")
    restore_timeout_seconds: float = Field(60.0, gt=0, description="how long taking over a partition may take")
    stop_timeout_seconds: float = Field(10.0, gt=0, description="how long a stop waits for its last checkpoint")
    status_seconds: float = Field(10.0, gt=0, description="how often the numbers are logged")


class AlertSettings(BaseSettings):
    """Where alerts go, and how patiently."""

    model_config = SettingsConfigDict(env_prefix="TAXIMETER_ALERT_", frozen=True, extra="ignore", allow_inf_nan=False)

    group_id: str = Field("taximeter-quota-alerts", min_length=1, description="the Kafka consumer group")
    session_timeout_ms: int = Field(10_000, ge=1_000, description="silence after which another one takes over")
    webhook_urls: tuple[SecretStr, ...] = Field((), description="http(s) URLs, as a JSON list; each gets every alert")
    webhook_secret: SecretStr | None = Field(None, description="whsec_ and 24 to 64 bytes in base64")
    webhook_timeout_seconds: float = Field(10.0, gt=0, description="of one request")
    webhook_attempts: int = Field(8, ge=1, description="after so many an alert is given up for that URL")
    webhook_wait_seconds: float = Field(1.0, gt=0, description="before the second attempt, then twice as long each")
    webhook_longest_wait_seconds: float = Field(300.0, gt=0, description="the most, Retry-After included")
