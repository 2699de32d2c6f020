"""What can be read of a dead letter's bytes, however little: the schema id, fields, and where reading ended.

What cannot be read whole by its own schema is read field by field as far as it goes; where the schema is not known the
packaged versions are tried, and what they give is said to be a guess. Pure but for the registry.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import fastavro

from taximeter_schemas import avro_files, codec, frame
from taximeter_schemas.errors import Poison

if TYPE_CHECKING:
    from fastavro.types import Schema

    from taximeter_schemas.registry import Registry


@dataclass(frozen=True)
class Reading:
    """`fields` are JSON values; `is_whole`: all of them, read to the last byte. `read_as` is the packaged version that
    was tried for want of the writer's own schema. `trouble` is what Python has against the record now, if anything."""

    schema_id: int | None = None
    read_as: int | None = None
    fields: Mapping[str, Any] | None = None
    is_whole: bool = False
    trouble: Poison | None = None

    @property
    def event(self) -> Mapping[str, Any] | None:
        """The event, where all of it could be read."""
        return self.fields if self.is_whole else None


def read(value: bytes | None, registry: Registry) -> Reading:
    """What can be read of a Kafka value. Raises Retryable where the registry does not answer."""
    try:
        schema_id, body = frame.split(value)
    except Poison as poison:
        return Reading(trouble=poison)
    try:
        writer = registry.schema(schema_id)
    except Poison as poison:
        return _guessed(schema_id, body, poison)
    try:
        return Reading(schema_id, None, codec.to_plain(codec.decode_body(body, writer)), is_whole=True)
    except Poison as poison:
        whole = _whole(body, writer)
        if whole is not None:
            return Reading(schema_id, None, whole, is_whole=True, trouble=poison)
        return Reading(schema_id, None, _partly(body, writer), trouble=poison)


def _guessed(schema_id: int, body: bytes, poison: Poison) -> Reading:
    """By the newest packaged version that reads the body from end to end."""
    for version in sorted(avro_files.FROZEN, reverse=True):
        whole = _whole(body, avro_files.parsed(version))
        if whole is not None:
            return Reading(schema_id, version, whole, is_whole=True, trouble=poison)
    return Reading(schema_id, trouble=poison)


def _whole(body: bytes, writer: Schema) -> dict[str, Any] | None:
    """The values, though they may break the rules of an event."""
    try:
        return _for_json(
            codec.read_body(body, writer, avro_files.parsed(avro_files.CURRENT_VERSION), lenient_text=True)
        )
    except Poison:
        return None


def _partly(body: bytes, writer: Schema) -> dict[str, Any] | None:
    """The leading fields, as many as there are."""
    if not isinstance(writer, dict) or "fields" not in writer:
        return None
    best: dict[str, Any] | None = None
    for count in range(1, len(writer["fields"]) + 1):
        try:
            record: Any = fastavro.schemaless_reader(
                io.BytesIO(body),
                {**writer, "fields": writer["fields"][:count]},
                None,
                handle_unicode_errors="replace",
            )
        # fastavro raises whatever the bytes lead it into.
        except Exception:  # noqa: BLE001 - the last field that could be read is the answer
            break
        best = _for_json(record)
    return best


def _for_json(values: Any) -> dict[str, Any]:
    """Money to the last digit, times with their zone, groups that are None left out: as `codec.to_plain` has them."""
    plain: dict[str, Any] = json.loads(json.dumps(values, default=_text))
    return {key: value for key, value in plain.items() if value is not None}


def _text(value: Any) -> str:
    match value:
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.isoformat()
        case bytes():
            return value.hex()
        case _:
            return str(value)
