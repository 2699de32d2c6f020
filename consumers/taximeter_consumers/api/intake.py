"""What comes in as events, judged one by one: those that can be sent, and what is wrong with the others. Pure.

What passes here the sink stores: the same conditions stand in its guards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ValidationError

from taximeter_consumers.api.models.events import CloudEvent, EventSent
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.uuid7 import birth_of
from taximeter_schemas.words import Kind

_YEARS: Final = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
_MOST_NAME: Final = 1_024
_MOST_TEXT: Final = 8_192
_MOST_ENTRIES: Final = 64
_LONG: Final = frozenset({"error_message", "description", "breach_reason"})
_MAPS: Final = ("tags", "provider_metadata")


@dataclass(frozen=True)
class Rights:
    """Whose events a caller may send: `account_id`, or anybody's where it is empty; and whether adjustments."""

    account_id: str = ""
    adjusts: bool = False


@dataclass(frozen=True)
class Wrong:
    """What is wrong with an event, in words without its values."""

    problem: str
    event_id: UUID | None = None


def judged(sent: Sequence[Any], rights: Rights) -> list[MeterEvent | Wrong]:
    """One for each, in order."""
    return [_judged(one, rights) for one in sent]


def _judged(sent: Any, rights: Rights) -> MeterEvent | Wrong:
    if not isinstance(sent, Mapping):
        return Wrong("an event is a JSON object")
    try:
        body = _unwrapped(sent) if "specversion" in sent else dict(sent)
        event = MeterEvent.model_validate(EventSent.model_validate(body).model_dump())
    except ValidationError as error:
        return Wrong(_said(error), _id_of(sent))
    if not rights.account_id:
        problem = ""
    elif event.account_id in ("", rights.account_id):
        event, problem = event.model_copy(update={"account_id": rights.account_id}), ""
    else:
        problem = "accountId: there is no such account for this key"
    problem = problem or _problem(event, rights)
    return Wrong(problem, event.event_id) if problem else event


def _unwrapped(sent: Mapping[str, Any]) -> dict[str, Any]:
    cloud = CloudEvent.model_validate(sent)
    body = dict(cloud.data)
    if not body.keys() & {"eventId", "event_id"}:
        body["eventId"] = cloud.id
    if cloud.time is not None and not body.keys() & {"occurredAt", "occurred_at"}:
        body["occurredAt"] = cloud.time
    return body


def _problem(event: MeterEvent, rights: Rights) -> str:
    if not _YEARS[0] <= birth_of(event.event_id) < _YEARS[1]:
        return "eventId: the clock in it is not within 2020 and 2099"
    if event.kind is Kind.ADJUSTMENT:
        if not rights.adjusts:
            return "kind: an adjustment needs a key with the scope admin"
    elif any(number < 0 for number in _numbers(event)):
        return "a counter or an amount is negative, and the event is no adjustment"
    for name in _MAPS:
        entries: dict[str, str] = getattr(event, name)
        if len(entries) > _MOST_ENTRIES or any(len(key) > 256 for key in entries):
            return f"{name}: at most {_MOST_ENTRIES} entries with names of at most 256 characters"
    for name, text in _texts(event):
        most = _MOST_TEXT if name in _LONG or name in _MAPS else _MOST_NAME
        if len(text) > most:
            return f"{name}: at most {most} characters"
        if name not in _LONG and any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
            return f"{name}: no control characters"
        if not _is_utf8(text):
            return f"{name}: it is no Unicode text"
    return ""


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _texts(part: BaseModel) -> Iterator[tuple[str, str]]:
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, dict):
            yield from ((name, text) for entry in value.items() for text in entry if isinstance(text, str))
        elif isinstance(value, BaseModel):
            yield from _texts(value)


def _numbers(part: BaseModel) -> Iterator[Any]:
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, dict):
            yield from (number for number in value.values() if not isinstance(number, str))
        elif isinstance(value, BaseModel):
            yield from _numbers(value)
        elif value is not None and not isinstance(value, str | datetime | UUID):
            yield value


def _said(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "extra_forbidden":
        return "there is no such field as one of those sent; GET /docs lists them"
    words = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        # The words of our own checks may quote the value.
        words = "this value is not allowed"
    place = ".".join(str(part) for part in first["loc"] if str(part).isascii())[:100]
    return f"{place or 'event'}: {words}"


def _id_of(sent: Mapping[str, Any]) -> UUID | None:
    for name in ("eventId", "event_id", "id"):
        try:
            return UUID(str(sent[name]))
        except (KeyError, ValueError):
            continue
    return None
