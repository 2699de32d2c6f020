"""What was used, on its way to Kafka. Each of these may be sent again: an event's id or key makes it count once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

from taximeter.client.answers.account import BatchAnswer, Charged, UsageAccepted
from taximeter.client.call import IDEMPOTENCY, Call, Secret, as_model, json_of, post, wire_name
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.uuid7 import new_event_id

if TYPE_CHECKING:
    from taximeter.client.asked import ChargeWords, UsageWords

_GROUPS = frozenset({"ai", "http", "plugin", "code"})


def send_events(events: Sequence[MeterEvent | Mapping[str, Any]]) -> Call[BatchAnswer]:
    """A batch of at most 1,000 events: MeterEvents, or objects as the API takes them, CloudEvents among them.

    The answer says of each whether Kafka has it; where some were refused (`refused`), the others are there. Raises
    Invalid where all are refused, and Unavailable where it is not known of all: the same batch may be sent again.
    """
    body = [event_object(event) if isinstance(event, MeterEvent) else event for event in events]
    call = post("/v1/events", as_model(BatchAnswer), {})
    return replace(call, body=json_of(body), may_repeat=True)


def send_usage(**words: Unpack[UsageWords]) -> Call[UsageAccepted]:
    """One use of a model, of a customer or of the system itself; Kafka has it when this returns.

    With the same `idempotency_key` it is the same event; a key that is no UUIDv7 needs `occurred_at`. Without one the
    client makes one, so that its own retries count once.
    """
    key = words.get("idempotency_key") or str(new_event_id())
    return _keyed(post("/v1/usage", as_model(UsageAccepted), _without_key(words)), key)


def charge_tokens(**words: Unpack[ChargeWords]) -> Call[Charged]:
    """Charges a user's account for what a worker used: False where limits are exceeded or nothing can be charged now.

    It needs the deployment's own secret: give the client `internal_key`.
    """
    key = words.get("idempotency_key") or str(new_event_id())
    call = _keyed(post("/worker/charge-tokens", as_model(Charged), _without_key(words)), key)
    return replace(call, secret=Secret.WORKER)


def event_object(event: MeterEvent) -> dict[str, Any]:
    """An event as the API takes it; what has its default is left out."""
    plain = event.model_dump(mode="json", exclude_defaults=True)
    return {
        wire_name(name): {wire_name(part): inner for part, inner in value.items()} if name in _GROUPS else value
        for name, value in plain.items()
    }


def _without_key(words: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in words.items() if name != "idempotency_key"}


def _keyed(call: Call[Any], key: str) -> Call[Any]:
    return replace(call, headers={**call.headers, IDEMPOTENCY: key}, may_repeat=True)
