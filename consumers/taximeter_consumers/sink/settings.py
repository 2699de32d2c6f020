"""The sink's settings, from `TAXIMETER_SINK_*`. The defaults suit a laptop and a busy server alike."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from taximeter_consumers.sink.bundle import CutPolicy

# The engine makes one block of a bundle up to here, see `store`.
MOST_ROWS_OF_A_BUNDLE = 2**22 - 1


class SinkSettings(BaseSettings):
    """Bounds of bundles, of memory and of patience."""

    model_config = SettingsConfigDict(env_prefix="TAXIMETER_SINK_", frozen=True, extra="ignore", allow_inf_nan=False)

    group_id: str = Field("taximeter-sink", min_length=1, description="the Kafka consumer group")
    instance_id: str | None = Field(
        None, description="static membership: a restart under the same id takes its partitions back at once"
    )
    session_timeout_ms: int = Field(6_000, ge=1_000, description="silence after which a dead sink loses its partitions")
    batch_rows: int = Field(100_000, ge=1, le=MOST_ROWS_OF_A_BUNDLE // 2, description="records of one INSERT")
    batch_bytes: int = Field(64 * 2**20, ge=1, description="bytes of one INSERT")
    batch_age_seconds: float = Field(0.05, gt=0, description="the longest that a record waits for company")
    backlog_age_seconds: float = Field(
        1.0, gt=0, description="the same while far more lies in Kafka than one INSERT takes"
    )
    parts_per_second: float = Field(
        9.5,
        gt=0,
        description="parts that the sinks of a group make in ClickHouse together, of events and of the ledger",
    )
    bundles_in_flight: int = Field(3, ge=1, le=3, description="INSERTs between their announcement and their commit")
    writers: int = Field(2, ge=1, le=64, description="INSERTs at the same time")
    memory_bytes: int = Field(512 * 2**20, ge=2**20, description="memory of the records held over all partitions")
    stop_timeout_seconds: float = Field(10.0, gt=0, description="how long a stop waits for inserts in flight")
    poison_rate: float = Field(
        0.01, ge=0, le=1, description="a partition stops when a larger share of its last records is bad"
    )
    poison_window: int = Field(10_000, ge=1, description="how many records are the last ones, for poison_rate")
    aligned_rows: int = Field(
        5_000, ge=1, description="records of a batch where the broker drops commit metadata: batches begin at multiples"
    )

    @property
    def cut_policy(self) -> CutPolicy:
        """When bundles are cut."""
        return CutPolicy(
            self.batch_rows, self.batch_bytes, self.batch_age_seconds, self.backlog_age_seconds, self.parts_per_second
        )
