"""Events to Avro bytes and back, with fastavro.

`encode` writes the current version. `decode` reads a body with the schema it was written with, resolved to the current
one: fields that we do not know are dropped, fields that the writer did not know get their defaults.
"""

from __future__ import annotations

import io
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import fastavro
from fastavro.types import Schema
from pydantic import ValidationError

from taximeter_schemas import avro_files, frame
from taximeter_schemas.errors import Poison
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.registry import Registry


def encode_body(event: MeterEvent) -> bytes:
    """The Avro body of an event, in the current version."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, avro_files.parsed(avro_files.CURRENT_VERSION), event.model_dump())
    return out.getvalue()


def encode(event: MeterEvent, header: bytes) -> bytes:
    """A whole Kafka value: `header` (see `frame.header`) and the body."""
    return header + encode_body(event)


def read_body(
    body: bytes, writer: Schema, reader: Schema | None = None, *, lenient_text: bool = False
) -> dict[str, Any]:
    """A body as plain values, resolved to the `reader` schema if there is one.

    With `lenient_text` bytes that are not UTF-8 become the replacement character instead of being refused.

    Raises Poison: `truncated`, `trailing_bytes`, `malformed`.
    """
    stream = io.BytesIO(body)
    try:
        values = fastavro.schemaless_reader(
            stream, writer, reader, handle_unicode_errors="replace" if lenient_text else "strict"
        )
    except EOFError as error:
        raise Poison("truncated", "the body ends before its schema does") from error
    # fastavro raises whatever the bytes lead it into; nothing of it is ours to tell apart.
    except Exception as error:
        raise Poison("malformed", f"the body does not follow its schema ({type(error).__name__})") from error
    left = len(body) - stream.tell()
    if left:
        raise Poison("trailing_bytes", f"{left} bytes are left after the record")
    if not isinstance(values, dict):
        raise Poison("malformed", "the writer's schema is not a record")
    return values


def decode_body(body: bytes, writer: Schema) -> MeterEvent:
    """The event in a body. Raises Poison as `read_body` does, and `invalid` where a value breaks the event's rules."""
    values = read_body(body, writer, avro_files.parsed(avro_files.CURRENT_VERSION))
    try:
        return MeterEvent.model_validate(values)
    except ValidationError as error:
        fields = sorted({".".join(str(part) for part in problem["loc"]) for problem in error.errors()})
        raise Poison("invalid", f"these fields break the rules of an event: {', '.join(fields)}") from error


def decode(message: bytes | None, registry: Registry) -> MeterEvent:
    """The event in a Kafka value. Raises Poison, also for a schema id that the registry does not know."""
    schema_id, body = frame.split(message)
    return decode_body(body, registry.schema(schema_id))


def to_plain(event: MeterEvent) -> dict[str, Any]:
    """The event for JSON: money as strings to the last digit, times with their zone, groups that are None left out."""
    return {key: _plain(value) for key, value in event.model_dump(exclude_none=True).items()}


def _plain(value: Any) -> Any:
    match value:
        case StrEnum():
            return value.value
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.isoformat()
        case int() | str():
            return value
        case _:
            return str(value)
