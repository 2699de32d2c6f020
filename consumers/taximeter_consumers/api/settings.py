"""The API's settings, from `TAXIMETER_API_*`."""

from __future__ import annotations

from typing import Final

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from taximeter_consumers.api.embed.origins import origins_of
from taximeter_consumers.api.embed.tokens import secrets_of

BODY_BYTES: Final = 2**20
URL_BYTES: Final = 8 * 2**10
HEADER_BYTES: Final = 32 * 2**10


class ApiSettings(BaseSettings):
    """Limits of reads, patience, and when the API calls itself ready."""

    model_config = SettingsConfigDict(
        env_prefix="TAXIMETER_API_", frozen=True, extra="ignore", allow_inf_nan=False, populate_by_name=True
    )

    query_seconds: float = Field(20.0, gt=0, description="the longest that ClickHouse works on one read")
    query_memory_bytes: int = Field(2**30, ge=2**20, description="the most memory of ClickHouse for one read")
    export_seconds: float = Field(3_600.0, gt=0, description="the longest that an export may take")
    key_cache_seconds: float = Field(5.0, ge=0, description="so long a revoked key may still open")
    most_rollup_lag_seconds: float = Field(300.0, gt=0, description="not ready where the rollups are further behind")
    stall_seconds: float = Field(60.0, gt=0, description="not ready where records wait so long and no commit comes")
    sink_group_id: str = Field("taximeter-sink", min_length=1, description="the sink's consumer group")
    invoice_seller: str = Field("", description="who sends the invoices, on their pages; lines apart by \\n")

    simulate: bool = Field(False, description="whether /api/test/simulate-tokens is there; for tests and demos only")
    simulations_a_minute: int = Field(30, ge=1, description="how often a key may simulate")
    internal_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("TAXIMETER_API_INTERNAL_KEY", "INTERNAL_API_KEY"),
        description="what workers send as INTERNAL_API_KEY; without it /worker/charge-tokens charges nothing",
    )
    charge_account_id: str = Field(
        "", description="the account that /worker/charge-tokens charges; empty: each user is an account of that name"
    )
    hold_seconds: int = Field(900, ge=1, le=604_800, description="the life of a reservation that names none")

    streams: int = Field(500, ge=1, description="streams that this process keeps open at a time")
    streams_per_key: int = Field(20, ge=1, description="streams that a key may have open at a time")
    stream_look_seconds: float = Field(1.0, gt=0, description="how often what is streamed is looked at, at most")
    stream_stall_seconds: float = Field(30.0, gt=0, description="a reader that takes nothing so long is dropped")

    embed_streams: int = Field(100, ge=1, description="streams that the embedded pages of an account may have open")
    embed_secret: SecretStr | None = Field(
        None,
        description="signs tokens of embedded usage pages, 32 characters or more; several, apart by commas: the first"
        " signs, all verify; without it there is no embedding",
    )
    embed_origins: str = Field(
        "self", description="sites that may frame the usage page, like https://app.example.com; apart by commas"
    )

    @field_validator("embed_secret")
    @classmethod
    def _long_enough(cls, given: SecretStr | None) -> SecretStr | None:
        secrets_of(given.get_secret_value() if given else "")
        return given

    @field_validator("embed_origins")
    @classmethod
    def _origins(cls, given: str) -> str:
        origins_of(given)
        return given

    @property
    def embed_secrets(self) -> tuple[str, ...]:
        """The secrets of embedded pages; none: embedding is switched off."""
        return secrets_of(self.embed_secret.get_secret_value()) if self.embed_secret else ()

    @property
    def read_options(self) -> dict[str, str | int | float]:
        """What ClickHouse is told with every statement of a read."""
        return {
            # Settings may change, and nothing else.
            "readonly": 2,
            "max_execution_time": self.query_seconds,
            "max_memory_usage": self.query_memory_bytes,
            "max_result_rows": 100_000,
            "result_overflow_mode": "throw",
            # A page in hand is not worth a whole machine.
            "max_threads": 4,
            "cancel_http_readonly_queries_on_client_close": 1,
        }

    @property
    def export_options(self) -> dict[str, str | int | float]:
        """The same for exports, which are read for long and sorted on disk."""
        return {
            "readonly": 2,
            "max_execution_time": self.export_seconds,
            "max_memory_usage": self.query_memory_bytes,
            "max_bytes_before_external_sort": self.query_memory_bytes // 4,
            "max_threads": 2,
            "cancel_http_readonly_queries_on_client_close": 1,
        }
