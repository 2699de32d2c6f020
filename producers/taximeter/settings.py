"""The meter's own settings, read once at the edge from `TAXIMETER_METER_*`, and refused once with the reason."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from taximeter.spool.settings import Fsync
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.words import Context


class WhenFull(StrEnum):
    """What happens to an event for which there is no room: none in memory, and none in the spool."""

    BLOCK = "block"
    DROP = "drop"


class MeterSettings(BaseSettings):
    """How a meter behaves. Every field has an environment name: `TAXIMETER_METER_QUEUE_EVENTS` and so on."""

    model_config = SettingsConfigDict(env_prefix="TAXIMETER_METER_", frozen=True, extra="ignore", allow_inf_nan=False)

    enabled: bool = Field(True, description="false: every hook works, nothing is emitted, no thread is started")
    queue_events: int = Field(10_000, ge=1, le=10_000_000, description="events held in memory until they are stored")
    queue_bytes: int = Field(64 * 2**20, ge=2**16, description="bytes of encoded events held in memory")
    spool_dir: Path | None = Field(None, description="directory of the disk spool; unset: there is none")
    spool_bytes: int = Field(2**30, ge=2**20, description="the most that the spool's directory may hold")
    spool_fsync: Fsync = Field(Fsync.BATCH, description="what has reached the disk when an event is spooled")
    when_full: WhenFull = Field(WhenFull.DROP, description="drop, or block for at most block_ms")
    block_ms: int = Field(0, ge=0, le=60_000, description="how long a hook may wait for room, with when_full=block")
    close_timeout_seconds: float = Field(5.0, ge=0, le=600, description="how long closing waits for the last events")
    default_account_id: str = Field("", max_length=1_024, description="the account of runs that name none")
    default_context: Context = Field(Context.CUSTOMER, description="the context of runs that name none")
    redaction: bool = Field(True, description="remove secrets from error messages and other debug texts")


def checked(settings: MeterSettings) -> MeterSettings:
    """The settings, if they can be followed. Raises Misconfigured."""
    if settings.when_full is WhenFull.BLOCK and settings.block_ms == 0:
        raise Misconfigured(
            "TAXIMETER_METER_WHEN_FULL=block has a bound of 0 ms, which is to drop",
            mend="set TAXIMETER_METER_BLOCK_MS to the longest time that a hook may wait, or set drop",
        )
    return settings
