"""Records for the sink's tests: events as Kafka values, and bad ones of every kind."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from confluent_kafka import Message

from taximeter_schemas import avro_files, frame
from taximeter_schemas.codec import encode
from taximeter_schemas.event import AiUsage, HttpUsage, MeterEvent, PluginUsage
from taximeter_schemas.uuid7 import compose

HEADER = frame.header(avro_files.CURRENT_VERSION)
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def events(count: int, seed: int) -> list[MeterEvent]:
    """Events with an AI group, an HTTP group, a plugin group or none, of a few accounts and many runs."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        at = BEGIN + timedelta(milliseconds=7 * number)
        ai = AiUsage(
            provider="openai",
            model=draw.choice(["gpt-4o", "gpt-4o-mini"]),
            input_tokens=draw.randrange(1, 9_000),
            output_tokens=draw.randrange(1, 2_000),
            reported_cost=Decimal(draw.randrange(1, 999)) / 1000 if number % 5 == 0 else None,
            service_tier="flex" if number % 6 == 0 else "",
            units={"web_searches": number, "requests": 2} if number % 3 == 0 else {},
        )
        http = HttpUsage(requests=1, bytes_in=draw.randrange(10_000))
        plugin = PluginUsage(plugin_id="pdf", invocations=1, custom_units={"pages": Decimal("1.5")})
        made.append(
            MeterEvent(
                account_id=f"account-{number % 3}",
                run_id=f"run-{number // 20}",
                event_id=compose(int(at.timestamp() * 1000), draw.randbytes(10)),
                occurred_at=at,
                node_id=f"node-{number % 20}",
                tags={"team": "blue"},
                ai=ai if number % 4 else None,
                http=http if number % 4 == 0 else None,
                plugin=plugin if number % 7 == 0 else None,
            )
        )
    return made


def value_of(event: MeterEvent) -> bytes:
    """The event as a whole Kafka value."""
    return encode(event, HEADER)


def message(partition: int, offset: int) -> Message:
    """What the log has at an offset, as the consumer hands it over: the same whenever it is read."""
    value = b"%d/%d" % (partition, offset)
    return Message(topic="t", partition=partition, offset=offset, value=value, timestamp=(2, 1_000 + offset))


def _with_id(value: bytes, text: bytes) -> bytes:
    """The value with its event id (36 characters after their length, 72 in zigzag) replaced."""
    at = value.index(b"\x48", 5)
    while value[at + 1 : at + 37].count(b"-") != 4:
        at = value.index(b"\x48", at + 1)
    return value[: at + 1] + text + value[at + 37 :]


# What can be wrong with a record, and the reason that its dead letter must state.
BAD: dict[str, tuple[str, Callable[[bytes], bytes | None]]] = {
    "garbage": ("not_framed", lambda value: b"\xff" + value[1:]),
    "nothing": ("empty", lambda value: None),
    "empty": ("empty", lambda value: b""),
    "only a header": ("truncated", lambda value: value[:5]),
    "too short": ("too_short", lambda value: value[:3]),
    "cut": ("truncated", lambda value: value[: len(value) // 2]),
    "cut by one byte": ("truncated", lambda value: value[:-1]),
    "one byte too long": ("trailing_bytes", lambda value: value + b"\x00"),
    "twice in one": ("trailing_bytes", lambda value: value + value[5:]),
    "unknown schema": ("unknown_schema", lambda value: frame.header(4242) + value[5:]),
    "a UUIDv4": ("not_uuid7", lambda value: _with_id(value, b"6f9619ff-8b86-4d11-b42d-00c04fc964ff")),
    "an id of 1970": ("id_time", lambda value: _with_id(value, b"00000000-0001-7000-8000-000000000000")),
}
