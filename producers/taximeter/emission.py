"""An emission: an event as the hook leaves it for the emitter's thread, which makes the `MeterEvent` of it.

The host's thread only makes the id, reads the clock and hands over plain values. Validation, redaction and encoding
happen later, on the emitter's thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from taximeter.attribution import Attribution
from taximeter.faults import Faults
from taximeter.redact import redact, redact_pair
from taximeter_schemas.event import MeterEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DEBUG_TEXTS = ("error_message", "description", "breach_reason")
ERROR_LIMIT = 500


class Emission(NamedTuple):
    """One event to be. The millisecond of `event_id` is that of `occurred_ns` (Unix time, nanoseconds)."""

    attribution: Attribution
    event_id: UUID
    occurred_ns: int
    own: Mapping[str, Any]


class Outlet(Protocol):
    """Where finished nodes go. The emitter is one; so is the meter that is switched off."""

    @property
    def faults(self) -> Faults:
        """Where hooks note what went wrong."""

    def offer(self, emissions: list[Emission]) -> None:
        """Take the emissions over, or drop and count them. Never raises; never waits beyond its bound."""


def to_event(emission: Emission, *, redaction: bool) -> MeterEvent:
    """The event. Debug texts lose their secrets (unless `redaction` is off) and are cut to 500 characters.

    Raises pydantic's ValidationError for a value that no event may have.
    """
    own = dict(emission.own)
    for name in _DEBUG_TEXTS:
        if name in own:
            own[name] = (redact(own[name]) if redaction else own[name])[:ERROR_LIMIT]
    if redaction and "provider_metadata" in own:
        own["provider_metadata"] = dict(redact_pair(key, value) for key, value in own["provider_metadata"].items())
    occurred_at = _EPOCH + timedelta(microseconds=emission.occurred_ns // 1_000)
    return MeterEvent.model_validate(
        {**emission.attribution, **own, "event_id": emission.event_id, "occurred_at": occurred_at}
    )
