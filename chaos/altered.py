"""Events altered on purpose: another clock, another payload under the same id, and records that no sink can store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from chaos.journal import Entry
from chaos.streams import HEADER
from taximeter_schemas import frame
from taximeter_schemas.codec import encode, encode_body
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.words import Kind

DAY: Final = timedelta(days=1)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TIME_BITS: Final = 80


def shifted(event: MeterEvent, id_by: timedelta, occurred_by: timedelta) -> MeterEvent:
    """The event with the clock of its id, and that of its occurrence, off by so much. Ids stay distinct."""
    moved = event.event_id.int + ((id_by // _MILLISECOND) << _TIME_BITS)
    return event.model_copy(update={"event_id": UUID(int=moved), "occurred_at": event.occurred_at + occurred_by})


def another_payload(event: MeterEvent, rng: Random) -> MeterEvent:
    """The same identity, with other counters, another day and another run: what a faulty producer sends."""
    changed: dict[str, Any] = {
        "occurred_at": event.occurred_at + rng.choice((-3, -1, 0, 2)) * DAY,
        "duration_us": event.duration_us + rng.randrange(1, 10**9),
        "executions": event.executions + 1,
        "tags": {"sent": "again"},
    }
    if rng.random() < 0.5:
        changed |= {"run_id": f"{event.run_id}-again", "node_id": "another", "user_id": "somebody-else"}
    return event.model_copy(update=changed)


def _with_id(text: bytes) -> Callable[[MeterEvent, Random], bytes]:
    def made(event: MeterEvent, _: Random) -> bytes:
        return _value(event).replace(str(event.event_id).encode(), text)

    return made


def _cut(event: MeterEvent, rng: Random) -> bytes:
    value = _value(event)
    return value[: rng.randrange(frame.HEADER_SIZE, len(value))]


def _not_utf8(event: MeterEvent, _: Random) -> bytes:
    account = event.account_id.encode()
    return _value(event).replace(account, b"\xc3" * len(account), 1)


def _negative(event: MeterEvent, rng: Random) -> bytes:
    name = rng.choice(("duration_us", "executions", "attempt", "memory_breaches"))
    return _value(event.model_copy(update={name: -rng.randrange(1, 1_000), "kind": Kind.NODE}))


def _value(event: MeterEvent) -> bytes:
    return encode(event, HEADER)


BAD: Final[Mapping[str, Callable[[MeterEvent, Random], bytes | None]]] = {
    "not framed": lambda event, _: b"\xff" + _value(event)[1:],
    "nothing": lambda _event, _rng: None,
    "empty": lambda _event, _rng: b"",
    "too short": lambda event, _: _value(event)[:3],
    "cut": _cut,
    "cut by one byte": lambda event, _: _value(event)[:-1],
    "a byte too many": lambda event, _: _value(event) + b"\x00",
    "two in one": lambda event, _: _value(event) + encode_body(event),
    "an unknown schema": lambda event, rng: frame.header(rng.randrange(4_242, 4_250)) + encode_body(event),
    "a UUIDv4": _with_id(b"6f9619ff-8b86-4d11-b42d-00c04fc964ff"),
    "an id that is none": _with_id(b"zzzzzzzz-zzzz-7zzz-zzzz-zzzzzzzzzzzz"),
    "an id of 1970": _with_id(b"00000000-0001-7000-8000-000000000000"),
    "an id of the year 2150": _with_id(b"052c0000-0000-7000-8000-000000000000"),
    "an account that is no text": _not_utf8,
    "a negative counter": _negative,
}
"""What can be wrong with a record, and a maker of one from a sound event."""


def bad_entry(number: int, event: MeterEvent, rng: Random) -> Entry:
    """An entry that must end among the dead letters."""
    kind = rng.choice(sorted(BAD))
    return Entry(number, event.run_id, BAD[kind](event, rng), counts=False)
