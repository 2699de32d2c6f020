"""Tokens that were used, charged: reserved, put into the log, confirmed. So limits hold, and the use counts at once.

The event's id is made of the hold, and with an idempotency key the hold of the key: a repeat charges nothing more,
wherever the first attempt ended. Without a key an attempt whose event Kafka did not acknowledge is given back; should
the event be there all the same, it counts.
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taximeter_consumers.api.reservations import new_name
from taximeter_schemas.errors import TaximeterError
from taximeter_schemas.event import AiUsage, Kind, MeterEvent, Quality
from taximeter_schemas.quota.answers import Answer, Status
from taximeter_schemas.quota.subject import Subject
from taximeter_schemas.quota.wording import explained
from taximeter_schemas.uuid7 import compose

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from taximeter_consumers.api.services import Services


@dataclass(frozen=True)
class Charge:
    """What was used, by whom. `key` is the caller's idempotency key."""

    account_id: str
    user_id: str
    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    workflow_id: str = ""
    quality: Quality = Quality.REPORTED
    tags: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None


@dataclass(frozen=True)
class Charging:
    """Whether it was charged, and why not."""

    done: bool
    reason: str = ""


def charge(services: Services, wanted: Charge) -> Charging:
    """Raises Retryable and Misconfigured where it is not known whether limits allow it: then nothing was charged."""
    name = new_name(wanted.account_id, wanted.key, secrets.token_hex)
    subject = Subject(account_id=wanted.account_id, user_id=wanted.user_id)
    amounts = {
        "total_tokens": wanted.input_tokens + wanted.output_tokens,
        "input_tokens": wanted.input_tokens,
        "output_tokens": wanted.output_tokens,
    }
    asker, sender, ttl = services.asker, services.sender, services.settings.hold_seconds
    answer = asker.reserve(subject, amounts, hold_id=name, ttl=ttl)
    if answer.status is Status.SETTLED:
        return Charging(done=True)
    if not answer.is_granted:
        return Charging(done=False, reason=explained(answer.refused_by) if answer.refused_by else answer.reason)
    (error,) = sender.send([charged_event(wanted, answer, ttl, services.now())])
    if error is not None:
        if wanted.key is None:
            with suppress(TaximeterError):
                asker.release(name, subject=subject)
        return Charging(done=False, reason=str(error))
    # The event counts by itself; the hold would only claim the same until it expires.
    with suppress(TaximeterError):
        asker.confirm(name, amounts, subject=subject)
    return Charging(done=True)


def charged_event(wanted: Charge, answer: Answer, ttl: int, now: datetime) -> MeterEvent:
    """The event of a hold: always the same id. Pure."""
    reserved_ms = answer.expires_at // 1_000 - ttl * 1_000
    return MeterEvent(
        account_id=wanted.account_id,
        user_id=wanted.user_id,
        workflow_id=wanted.workflow_id,
        transaction_id=answer.transaction_id,
        tags=dict(wanted.tags),
        event_id=compose(reserved_ms, hashlib.sha256(answer.hold_id.encode()).digest()),
        occurred_at=now,
        kind=Kind.USAGE,
        executions=0,
        ai=AiUsage(
            provider=wanted.provider,
            model=wanted.model,
            input_tokens=wanted.input_tokens,
            output_tokens=wanted.output_tokens,
            total_tokens=wanted.input_tokens + wanted.output_tokens,
            quality=wanted.quality,
        ),
    )
