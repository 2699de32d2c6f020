"""What the emitter's thread makes of an emission: the redacted, validated `MeterEvent`. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from taximeter.emission import Emission
from taximeter.redact import redact, redact_pair
from taximeter_schemas.event import MeterEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DEBUG_TEXTS = ("error_message", "description", "breach_reason")
ERROR_LIMIT = 500


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
