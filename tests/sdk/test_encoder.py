"""The generated encoder against fastavro: the same bytes, whatever the event and whichever fields are given."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.schemas.strategies import counts, decimals, events, words

from taximeter.emitter.avro_bytes import decimals_of, long_bytes, text_bytes
from taximeter.emitter.encoder import EventEncoder
from taximeter.emitter.ids import EventIds
from taximeter_schemas import avro_files
from taximeter_schemas.codec import decode_body, encode_body
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.uuid7 import birth_of

_SCHEMA = avro_files.schema_of(avro_files.CURRENT_VERSION)
_RUN = [field["name"] for field in _SCHEMA["fields"]][:10]
# One for all examples, as a worker has one for all events: what it has learnt from one must not show in another.
_ENCODER = EventEncoder(_SCHEMA)


def _written(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def _plain(event: MeterEvent) -> tuple[dict[str, Any], dict[str, Any]]:
    values = event.model_dump()
    values["event_id"] = str(event.event_id)
    delta = event.occurred_at - event.occurred_at.replace(
        year=1970, month=1, day=1, hour=0, minute=0, second=0, microsecond=0
    )
    values["occurred_at"] = (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    return {name: values.pop(name) for name in _RUN}, values


@settings(max_examples=100, deadline=None)
@given(events)
def test_every_event_has_the_bytes_that_fastavro_writes(event: MeterEvent) -> None:
    """With all fields given, in the schema's own values."""
    run, own = _plain(event)
    assert _ENCODER.prefix(run) + _ENCODER.rest(own) == encode_body(event)


@settings(max_examples=100, deadline=None)
@given(events, st.data())
def test_a_field_that_is_left_out_has_its_default(event: MeterEvent, data: st.DataObject) -> None:
    """In every shape, with the fields in any order, inner records too."""
    run, own = _plain(event)
    needed = ("event_id", "occurred_at")
    kept = data.draw(st.lists(st.sampled_from(sorted(own)), unique=True))
    own = {name: own[name] for name in [*(name for name in kept if name not in needed), *needed]}
    if own.get("ai"):
        fields = data.draw(st.lists(st.sampled_from(sorted(own["ai"])), unique=True))
        own["ai"] = {name: own["ai"][name] for name in fields}
    run = {name: run[name] for name in data.draw(st.lists(st.sampled_from(_RUN), unique=True))}
    expected = MeterEvent.model_validate({**run, **own, "occurred_at": event.occurred_at})
    body = _ENCODER.prefix(run) + _ENCODER.rest(own)
    assert body == encode_body(expected)
    assert decode_body(body, avro_files.parsed(avro_files.CURRENT_VERSION)) == expected


@given(st.one_of(counts, st.integers(-(2**63), 2**63 - 1), st.integers(0, 70_000), st.sampled_from(
    [sign * 2**power + step for power in range(63) for sign in (1, -1) for step in (-1, 0, 1)])))  # fmt: skip
def test_every_number_has_its_bytes(number: int) -> None:
    """Also at each border where a byte is added."""
    assert long_bytes(number) == _written("long", number)


@given(st.one_of(words, st.text(max_size=300), st.integers(0, 20_000).map("x".__mul__)))
def test_every_text_has_its_bytes(text: str) -> None:
    """Of any length, in any script."""
    assert text_bytes(text) == _written("string", text)


@given(decimals(9))
def test_every_amount_has_its_bytes(amount: Any) -> None:
    """Negative ones too."""
    schema = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9}
    assert decimals_of(9)(amount) == _written(schema, amount)


@pytest.mark.parametrize("own", [{"bogus": 1}, {"event_id": "x"}, {"occurred_at": 1}])
def test_what_is_no_event_is_refused(own: dict[str, Any]) -> None:
    """A field that the schema does not have, and a missing one without a default."""
    with pytest.raises(KeyError):
        _ENCODER.rest(own)


def test_a_run_that_takes_the_place_of_another_in_memory_is_not_taken_for_it() -> None:
    """Runs are told apart by object; an encoder holds those whose bytes it keeps."""
    encoder = EventEncoder(_SCHEMA)
    for number in range(3_000):
        assert f"run-{number}".encode() in encoder.prefix({"run_id": f"run-{number}"})


@given(st.integers(0, 253_402_300_799_999), st.integers(0, 999_999))
def test_ids_are_uuid7s_of_their_millisecond(millis: int, nanos: int) -> None:
    """From 1970 to the year 9999."""
    from uuid import UUID

    made = UUID(EventIds().new(millis * 1_000_000 + nanos))
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert round(birth_of(made).timestamp() * 1000) == millis


def test_ids_do_not_come_again() -> None:
    """Across the borders of the pool of random bytes as well."""
    ids = EventIds()
    made = [ids.new(1_700_000_000_000_000_000) for _ in range(5_000)]
    assert len(set(made)) == len(made)
