"""Records that something happened to, drawn from a seed: flipped bits, lost, doubled and swapped bytes, odd values."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.sink.records import events, value_of

from taximeter_schemas.event import AiUsage, Kind, MeterEvent
from taximeter_schemas.uuid7 import compose

FRAME = 5


def flipped(value: bytes, draw: random.Random) -> bytes:
    """One to five bits are others."""
    changed = bytearray(value)
    for _ in range(draw.choice([1, 1, 2, 5])):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut(value: bytes, draw: random.Random) -> bytes:
    """The end is missing, or a few bytes in the middle."""
    at = draw.randrange(FRAME, len(value))
    return value[:at] if draw.random() < 0.5 else value[:at] + value[at + draw.randrange(1, 4) :]


def padded(value: bytes, draw: random.Random) -> bytes:
    """Bytes too many, at the end or in the middle; zeros as often as not."""
    more = bytes(draw.randrange(1, 9)) if draw.random() < 0.5 else draw.randbytes(draw.randrange(1, 9))
    at = len(value) if draw.random() < 0.7 else draw.randrange(FRAME, len(value))
    return value[:at] + more + value[at:]


def not_text(value: bytes, draw: random.Random) -> bytes:
    """An account that is not UTF-8."""
    return value.replace(b"account-", b"accoun\xff-", 1)


def two_in_one(value: bytes, draw: random.Random) -> bytes:
    """The record twice, with and without a second frame."""
    return value + value[draw.choice([0, FRAME]) :]


def swapped(value: bytes, draw: random.Random) -> bytes:
    """The body's two halves have changed places."""
    middle = (FRAME + len(value)) // 2
    return value[:FRAME] + value[middle:] + value[FRAME:middle]


BYTES = (flipped, flipped, cut, padded, not_text, two_in_one, swapped)


def odd_events(draw: random.Random) -> list[MeterEvent]:
    """Events that follow the schema and break a guard: each must be refused."""
    (sound,) = events(1, seed=draw.randrange(2**32))
    far = int(datetime(2101, 1, 1, tzinfo=UTC).timestamp() * 1000)
    changes: Sequence[dict[str, object]] = (
        {"event_id": compose(far, draw.randbytes(10))},
        {"event_id": compose(5, draw.randbytes(10))},
        {"occurred_at": datetime(2150, 1, 1, tzinfo=UTC)},
        {"executions": -1},
        {"duration_us": -5},
        {"ai": AiUsage(provider="p", model="m", input_tokens=-1)},
        {"memory_breaches": -(2**31) + 1},
    )
    return [sound.model_copy(update=change) for change in changes]


def a_correction(draw: random.Random) -> MeterEvent:
    """An adjustment, which may be negative."""
    (sound,) = events(1, seed=draw.randrange(2**32))
    return sound.model_copy(update={"kind": Kind.ADJUSTMENT, "executions": -1, "duration_us": -7})


def spoiled(good: Sequence[MeterEvent], draw: random.Random) -> list[bytes]:
    """One mutation of each of some records."""
    return [draw.choice(BYTES)(value_of(event), draw) for event in good]
