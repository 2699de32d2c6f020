"""Events as executors in any language send them: MeterEvents in camelCase, alone or within CloudEvents."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints, WrapValidator
from pydantic.alias_generators import to_camel

from taximeter_consumers.api.inputs import Moment
from taximeter_consumers.api.models.wire import Asked, Wire
from taximeter_schemas.event import AiUsage, CodeUsage, EventId, HttpUsage, MeterEvent, PluginUsage
from taximeter_schemas.uuid7 import compose
from taximeter_schemas.words import Context, Kind

MOST_EVENTS: Final = 1_000
_EXAMPLE_ID: Final = str(compose(1_793_534_400_000, b"taximeter1"))
_EVENT: Final[dict[str, Any]] = {
    "eventId": _EXAMPLE_ID,
    "occurredAt": "2026-11-01T12:00:00Z",
    "runId": "nightly-42",
    "nodeId": "summarise",
    "nodeType": "ai",
    "durationUs": 1_250_000,
    "ai": {"provider": "openai", "model": "gpt-4o", "inputTokens": 1000, "outputTokens": 200, "totalTokens": 1200},
}
EXAMPLES: Final[dict[str, Any]] = {
    "events": {"summary": "MeterEvents", "value": [_EVENT]},
    "cloudEvents": {
        "summary": "A CloudEvents batch",
        "value": [
            {
                "specversion": "1.0",
                "id": _EXAMPLE_ID,
                "source": "/executors/go",
                "type": "taximeter.meter-event",
                "time": "2026-11-01T12:00:00Z",
                "data": {"runId": "nightly-42", "nodeId": "summarise", "executions": 1},
            }
        ],
    },
}
_NAMES: Final = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class AiSent(AiUsage):
    """What one model used. Input includes cache reads and writes, output includes reasoning."""

    model_config = _NAMES


class HttpSent(HttpUsage):
    """What went over HTTP."""

    model_config = _NAMES


class PluginSent(PluginUsage):
    """What a plugin counted."""

    model_config = _NAMES


class CodeSent(CodeUsage):
    """What a process used."""

    model_config = _NAMES


class EventSent(MeterEvent):
    """What one attempt of one node of one run used. `eventId` is a UUIDv7 made once: sent again, it counts once."""

    model_config = _NAMES

    account_id: str = Field("", description="For an account's key its own, which may be left out")
    kind: Kind = Field(Kind.NODE, description="adjustment, which may be negative, needs the scope admin")
    context: Context = Context.CUSTOMER
    event_id: EventId
    occurred_at: Moment = Field(description="When the use ended")
    ai: AiSent | None = None
    http: HttpSent | None = None
    plugin: PluginSent | None = None
    code: CodeSent | None = None


class CloudEvent(Asked):
    """A CloudEvent 1.0 whose `data` is a MeterEvent. `data` without eventId or occurredAt takes `id` and `time`."""

    model_config = ConfigDict(alias_generator=None, extra="ignore", frozen=True)

    specversion: Literal["1.0"]
    id: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    source: Annotated[str, StringConstraints(min_length=1, max_length=1_024)]
    type: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    time: Moment | None = None
    data: dict[str, Any]


def _unread(value: Any, _handler: Any) -> Any:
    """Each event is judged by itself, so that a bad one does not refuse the others."""
    return value


Sent = Annotated[EventSent | CloudEvent, WrapValidator(_unread)]
Batch = Annotated[list[Sent], Field(min_length=1, max_length=MOST_EVENTS)]


class Fate(StrEnum):
    """What became of an event."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNACKNOWLEDGED = "unacknowledged"


class EventResult(Wire):
    """What became of one event of a batch."""

    index: int = Field(description="Its place in the batch, from 0")
    event_id: UUID | None = Field(description="Null where it has none that could be read")
    status: Fate = Field(description="accepted: all in-sync replicas of Kafka have it")
    problem: str | None = Field(None, description="What to correct")


class BatchAnswer(Wire):
    """What became of a batch, event by event."""

    accepted: int
    refused: int
    results: list[EventResult]
