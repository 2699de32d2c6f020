"""Events to bytes and back."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import uuid4

import fastavro
import pytest
from hypothesis import given, settings
from pydantic import ValidationError
from tests.schemas.strategies import events

from taximeter_schemas import avro_files, codec, frame
from taximeter_schemas.errors import Poison
from taximeter_schemas.event import AiUsage, MeterEvent, Outcome, PluginUsage
from taximeter_schemas.registry import PackagedRegistry
from taximeter_schemas.uuid7 import compose

REGISTRY = PackagedRegistry()
HEADER = frame.header(REGISTRY.current_id())
WRITTEN = avro_files.parsed(avro_files.CURRENT_VERSION)


def sample() -> MeterEvent:
    """A small event."""
    return MeterEvent(event_id=compose(1_750_000_000_000, b"0123456789"), occurred_at=datetime(2025, 6, 15, tzinfo=UTC))


@settings(max_examples=150, deadline=None)
@given(events)
def test_an_event_survives_the_wire(event: MeterEvent) -> None:
    """Decoding what was encoded gives an equal event, whatever it holds."""
    assert codec.decode(codec.encode(event, HEADER), REGISTRY) == event


@settings(max_examples=60, deadline=None)
@given(events)
def test_a_cut_or_padded_body_is_poison(event: MeterEvent) -> None:
    """A body that is a byte short or long is refused with the reason, never read as something else."""
    body = codec.encode_body(event)
    with pytest.raises(Poison) as cut:
        codec.decode_body(body[:-1], WRITTEN)
    assert cut.value.reason in {"truncated", "malformed"}
    with pytest.raises(Poison) as padded:
        codec.decode_body(body + b"\0", WRITTEN)
    assert padded.value.reason == "trailing_bytes"


@settings(max_examples=60, deadline=None)
@given(events)
def test_plain_values_are_json(event: MeterEvent) -> None:
    """The plain form goes through JSON, and money in it keeps every digit."""
    plain = json.loads(json.dumps(codec.to_plain(event)))
    assert plain["event_id"] == str(event.event_id)
    assert datetime.fromisoformat(plain["occurred_at"]) == event.occurred_at
    if event.ai is not None and event.ai.reported_cost is not None:
        assert Decimal(plain["ai"]["reported_cost"]) == event.ai.reported_cost


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"\0\0\0", "too_short"),
        (b"{}{}{}{}", "not_framed"),
        (frame.header(99) + b"x", "unknown_schema"),
        (HEADER, "truncated"),
    ],
)
def test_bad_messages_are_poison_with_a_reason(message: bytes | None, reason: str) -> None:
    """Each kind of bad message has its own word."""
    with pytest.raises(Poison) as poison:
        codec.decode(message, REGISTRY)
    assert poison.value.reason == reason


def test_a_body_that_breaks_the_rules_is_invalid_and_not_quoted() -> None:
    """A body whose id is no UUIDv7 names the field and nothing of its value."""
    values = sample().model_dump() | {"event_id": uuid4()}
    with pytest.raises(Poison) as poison:
        codec.decode_body(_written(values), WRITTEN)
    assert poison.value.reason == "invalid"
    assert "event_id" in str(poison.value)
    assert str(values["event_id"]) not in str(poison.value)


def test_an_id_past_the_calendar_is_poison() -> None:
    """An id whose clock reads past the year 9999 sets the record aside and stops nothing."""
    values = sample().model_dump() | {"event_id": compose(2**48 - 1, b"0123456789")}
    with pytest.raises(Poison, match="event_id"):
        codec.decode_body(_written(values), WRITTEN)


def test_groups_that_do_not_apply_are_left_out_of_plain_values() -> None:
    """None is absence, in JSON too; enums are their words."""
    plain = codec.to_plain(sample().model_copy(update={"outcome": Outcome.TIMEOUT}))
    assert "ai" not in plain
    assert plain["outcome"] == "timeout"


def test_times_are_utc_and_need_a_zone() -> None:
    """A time in another zone becomes UTC; one without a zone is refused."""
    there = datetime(2025, 6, 15, 14, tzinfo=timezone(timedelta(hours=2)))
    event = MeterEvent(event_id=sample().event_id, occurred_at=there)
    assert event.occurred_at.tzinfo is UTC
    assert event.occurred_at.hour == 12
    with pytest.raises(ValidationError, match="zone"):
        MeterEvent(event_id=sample().event_id, occurred_at=there.replace(tzinfo=None))


def test_money_that_does_not_fit_is_refused() -> None:
    """A reported cost with a thirteenth decimal place, or a unit with a tenth, is an error and not rounded."""
    with pytest.raises(ValidationError, match="does not fit"):
        AiUsage(reported_cost=Decimal("0.0000000000001"))
    with pytest.raises(ValidationError, match="does not fit"):
        PluginUsage(custom_units={"pages": Decimal("0.0000000001")})


def _written(values: dict[str, object]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, WRITTEN, values)
    return out.getvalue()
