"""A stated use as an event. Pure.

The id of an event that is sent with an idempotency key is made of the key and a clock that a repeat has, too: that of
the key where it is a UUIDv7, else the instant of the use. So a repeat is the same event, in whichever process it
arrives, and counts once.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

from taximeter_schemas.event import AiUsage, Kind, MeterEvent, Quality
from taximeter_schemas.uuid7 import birth_of, compose

if TYPE_CHECKING:
    from taximeter_consumers.api.models.usage_sent import UsageSent

EXTERNAL_ID: Final = "external_id"
_MILLI: Final = Decimal("0.001")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# The storage takes no other clocks in ids.
_YEARS: Final = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def event_of(sent: UsageSent, account_id: str, event_id: UUID, now: datetime) -> MeterEvent:
    """The event; `now` (UTC) where nobody said when."""
    tags = dict(sent.tags) | ({EXTERNAL_ID: sent.external_id} if sent.external_id else {})
    return MeterEvent(
        account_id=account_id,
        user_id=sent.user_id or "",
        project_id=sent.project_id or "",
        workflow_id=sent.workflow_id or "",
        run_id=sent.run_id or "",
        node_id=sent.node_id or "",
        transaction_id=sent.transaction_id or "",
        context=sent.context,
        tags=tags,
        event_id=event_id,
        occurred_at=sent.occurred_at or now,
        kind=Kind.USAGE,
        executions=0,
        ai=AiUsage(
            provider=sent.provider,
            model=sent.model,
            usage_type=sent.usage_type,
            input_tokens=sent.input_tokens,
            output_tokens=sent.output_tokens,
            cache_read_tokens=sent.cached_tokens,
            reasoning_tokens=sent.reasoning_tokens,
            total_tokens=sent.input_tokens + sent.output_tokens,
            audio_ms=milliseconds(sent.audio_duration_seconds),
            characters=sent.characters,
            images=sent.images,
            quality=Quality.REPORTED,
            service_tier=sent.service_tier or "",
        ),
    )


def milliseconds(seconds: Decimal) -> int:
    """The nearest whole number of them; half of one counts as one."""
    return int(seconds.quantize(_MILLI, ROUND_HALF_UP).scaleb(3))


def id_of_key(key: str, account_id: str, occurred_at: datetime | None) -> UUID | None:
    """The id of the event that is sent with an idempotency key; None where nothing says a clock that repeats."""
    born = _birth(key) or occurred_at
    if born is None or not _YEARS[0] <= born < _YEARS[1]:
        return None
    mixed = hashlib.sha256(f"{account_id}\0{key}".encode()).digest()
    return compose((born - _EPOCH) // timedelta(milliseconds=1), mixed)


def _birth(key: str) -> datetime | None:
    try:
        return birth_of(UUID(key))
    except ValueError:
        return None
