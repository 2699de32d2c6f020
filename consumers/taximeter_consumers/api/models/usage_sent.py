"""One use as a service states it that runs no workflow."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from taximeter_consumers.api.inputs import Count, Moment, Name
from taximeter_consumers.api.models.wire import Asked, Wire
from taximeter_schemas.words import Context, UsageType

_MOST_SECONDS: Final = 10**9
Tag = Annotated[str, StringConstraints(max_length=1_024, pattern=r"^[^\x00-\x1f\x7f]*$")]
TagName = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]


class UsageSent(Asked):
    """One use of a model. A customer's needs a transaction, and an account or an external id; the system's neither."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "context": "customer",
                    "accountId": "acme",
                    "transactionId": "order-7",
                    "provider": "openai",
                    "model": "gpt-4o",
                    "inputTokens": 1000,
                    "cachedTokens": 400,
                    "outputTokens": 200,
                    "occurredAt": "2026-11-01T12:00:00Z",
                }
            ]
        }
    )

    context: Context = Field(description="customer, or system for the platform's own work")
    account_id: Name | None = Field(None, description="For an account's key its own, which may be left out")
    external_id: Name | None = Field(None, description="What it is for in your own books; kept as a tag")
    transaction_id: Name | None = Field(None, description="Of a reservation, or your own")
    user_id: Name | None = None
    project_id: Name | None = None
    workflow_id: Name | None = None
    run_id: Name | None = None
    node_id: Name | None = None
    provider: Name
    model: Name
    usage_type: UsageType = UsageType.TEXT
    input_tokens: Count = Field(0, description="Cached ones included")
    output_tokens: Count = Field(0, description="Reasoning included")
    cached_tokens: Count = Field(0, description="Of inputTokens: read from the provider's cache")
    reasoning_tokens: Count = Field(0, description="Of outputTokens")
    audio_duration_seconds: Decimal = Field(
        Decimal(0), ge=0, le=_MOST_SECONDS, description="For audio_stt and audio_tts; kept as whole milliseconds"
    )
    characters: Count = 0
    images: Count = 0
    service_tier: Name | None = None
    tags: dict[TagName, Tag] = Field(default_factory=dict, max_length=32)
    occurred_at: Moment | None = Field(None, description="When the use ended; without it, now")

    @model_validator(mode="after")
    def _fits(self) -> UsageSent:
        if self.context is Context.UNKNOWN or self.usage_type is UsageType.UNKNOWN:
            raise ValueError("context and usageType are never unknown here")
        if self.context is Context.CUSTOMER and self.transaction_id is None:
            raise ValueError("a customer's use needs a transactionId")
        if self.cached_tokens > self.input_tokens or self.reasoning_tokens > self.output_tokens:
            raise ValueError("cachedTokens are a part of inputTokens, reasoningTokens a part of outputTokens")
        return self


class UsageAccepted(Wire):
    """Kafka has it; it is in the sums with the next tick of the rollups, seconds later."""

    event_id: UUID = Field(description="The same for the same Idempotency-Key")
    account_id: str
    transaction_id: str
    total_tokens: int
