"""`MeterEvent`: one leaf fact, what one attempt of one node of one run used.

The pydantic twin of `avro/meter_event.v2.avsc`; a test holds the two together in both directions, and the Avro file
says what each field means. Every number is an additive counter, so any sum over any grouping is right. A group that
does not apply is None as a whole. Unknown is never zero: `ai.quality = missing` says so.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from taximeter_schemas.money import REPORTED_COST_SCALE, UNIT_SCALE, exact
from taximeter_schemas.uuid7 import birth_of
from taximeter_schemas.words import Context, Kind, Outcome, Quality, UsageType

__all__ = [
    "AiUsage",
    "CodeUsage",
    "Context",
    "HttpUsage",
    "Kind",
    "MeterEvent",
    "Outcome",
    "PluginUsage",
    "Quality",
    "UsageType",
]

_INT64 = 2**63 - 1
_INT32 = 2**31 - 1


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time needs its zone; Taximeter never guesses one")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is out of range in UTC") from error


def _uuid7(event_id: UUID) -> UUID:
    birth_of(event_id)
    return event_id


Count = Annotated[int, Field(ge=-_INT64, le=_INT64)]
SmallCount = Annotated[int, Field(ge=-_INT32, le=_INT32)]
Utc = Annotated[datetime, AfterValidator(_utc)]
EventId = Annotated[UUID, AfterValidator(_uuid7)]
ReportedCost = Annotated[Decimal, AfterValidator(lambda cost: exact(cost, REPORTED_COST_SCALE))]
UnitAmount = Annotated[Decimal, AfterValidator(lambda amount: exact(amount, UNIT_SCALE))]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AiUsage(_Record):
    """What one model used. `input_tokens` includes cache reads and writes, `output_tokens` includes reasoning.

    `units` are further counts: parts of these counters, or beside them. Its `requests` says how many calls are added up
    here; absent, it is one.
    """

    provider: str = ""
    model: str = ""
    usage_type: UsageType = UsageType.TEXT
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0
    total_tokens: Count = 0
    audio_ms: Count = 0
    characters: Count = 0
    images: Count = 0
    response_id: str = ""
    reported_cost: ReportedCost | None = None
    quality: Quality = Quality.REPORTED
    service_tier: str = ""
    units: dict[str, Count] = Field(default_factory=dict)


class HttpUsage(_Record):
    """What went over HTTP: requests, bytes as they crossed the wire, and answers that were errors."""

    requests: Count = 0
    bytes_out: Count = 0
    bytes_in: Count = 0
    errors: Count = 0


class PluginUsage(_Record):
    """What a plugin counted, in units that it names."""

    plugin_id: str = ""
    invocations: Count = 0
    custom_units: dict[str, UnitAmount] = Field(default_factory=dict)


class CodeUsage(_Record):
    """What a process used: CPU time in microseconds, and its peak resident memory (a maximum, never summed)."""

    cpu_us: Count = 0
    max_rss_bytes: Count = 0


class MeterEvent(_Record):
    """One event. Fields stand in the order of the Avro file: what is constant over a run comes first."""

    account_id: str = ""
    user_id: str = ""
    project_id: str = ""
    workflow_id: str = ""
    run_id: str = ""
    parent_run_id: str = ""
    thread_id: str = ""
    transaction_id: str = ""
    context: Context = Context.CUSTOMER
    tags: dict[str, str] = Field(default_factory=dict)
    event_id: EventId
    occurred_at: Utc
    kind: Kind = Kind.NODE
    node_id: str = ""
    node_type: str = ""
    attempt: SmallCount = 1
    agent_name: str = ""
    outcome: Outcome = Outcome.SUCCESS
    memory_breaches: SmallCount = 0
    timeout_breaches: SmallCount = 0
    breach_reason: str = ""
    executions: Count = 1
    duration_us: Count = 0
    ai: AiUsage | None = None
    http: HttpUsage | None = None
    plugin: PluginUsage | None = None
    code: CodeUsage | None = None
    error_message: str = ""
    provider_metadata: dict[str, str] = Field(default_factory=dict)
    description: str = ""
