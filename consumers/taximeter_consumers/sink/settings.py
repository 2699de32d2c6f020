"""The sink's settings, from `TAXIMETER_SINK_*`. The defaults suit a laptop and a busy server alike."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

# The engine makes one block of a batch up to here, see `store`.
MOST_ROWS_OF_A_BATCH = 2**22 - 1


class SinkSettings(BaseSettings):
    """Bounds of batches, of memory and of patience."""

    model_config = SettingsConfigDict(env_prefix="TAXIMETER_SINK_", frozen=True, extra="ignore")

    group_id: str = Field("taximeter-sink", min_length=1, description="the Kafka consumer group")
    instance_id: str | None = Field(
        None, description="static membership: a restart under the same id takes its partitions back at once"
    )
    session_timeout_ms: int = Field(
        10_000, ge=1_000, description="silence after which a dead sink loses its partitions"
    )
    batch_rows: int = Field(100_000, ge=1, le=MOST_ROWS_OF_A_BATCH // 2)
    batch_bytes: int = Field(32 * 2**20, ge=1)
    batch_age_seconds: float = Field(0.25, gt=0, description="the longest that a record waits for company")
    parts_per_second: float = Field(
        10.0, gt=0, description="with many partitions the age grows, so that ClickHouse gets no more parts than this"
    )
    in_flight_per_partition: int = Field(2, ge=1, le=8, description="batches of one partition between cut and commit")
    writers: int = Field(2, ge=1, le=64, description="inserts at the same time")
    memory_bytes: int = Field(512 * 2**20, ge=2**20, description="memory of the records held over all partitions")
    stop_timeout_seconds: float = Field(10.0, gt=0, description="how long a stop waits for inserts in flight")
