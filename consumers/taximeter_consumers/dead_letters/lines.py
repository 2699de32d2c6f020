"""Letters as JSON lines, to be corrected by hand or script, and back again.

A line is read back as it was meant: with an `event` that differs from what was exported the event counts, which is
checked and written in the current version; else the `value`, byte for byte. An event keeps its id, because copies are
told by it: another id is refused, unless the id was what was wrong.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from taximeter_consumers.dead_letters.letter import Letter, Place, Source
from taximeter_consumers.dead_letters.reading import read
from taximeter_schemas import codec, frame
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.event import MeterEvent

if TYPE_CHECKING:
    from taximeter_schemas.registry import Registry

_LETTER_ID: Final = re.compile("[0-9a-f]{32}")
_ABOUT_IDS: Final = frozenset({"not_uuid7", "id_time"})


@dataclass(frozen=True)
class Outgoing:
    """A letter, and the value to send in its place."""

    letter: Letter
    value: bytes | None
    edited: bool = False


def as_is(letter: Letter) -> Outgoing:
    """The record as it was."""
    return Outgoing(letter, letter.value)


def to_line(letter: Letter, registry: Registry) -> dict[str, Any]:
    """The letter for a line of JSON. Bytes are base64; `event` is there where all of the value could be read."""
    reading = read(letter.value, registry)
    source = letter.source
    return {
        "letter_id": letter.letter_id,
        "place": str(letter.place),
        "at": letter.at.isoformat(timespec="milliseconds"),
        "reason": letter.reason,
        "error": letter.error,
        "source": source and {"topic": source.topic, "partition": source.partition, "offset": source.offset},
        "key": _base64(letter.key),
        "headers": [[name, _base64(value)] for name, value in letter.headers],
        "schema_id": reading.schema_id,
        "event": reading.event,
        "event_sha256": None if reading.event is None else _digest(reading.event),
        "value": _base64(letter.value),
    }


def from_line(text: str, registry: Registry) -> Outgoing:
    """What a line says is to be sent. Raises Misconfigured, which says what is wrong with it."""
    try:
        line = json.loads(text)
        letter, known = _letter_in(line), _id_in(line)
        event, sha256 = line.get("event"), line.get("event_sha256")
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise Misconfigured(
            f"this is no line of an export ({type(error).__name__}: {error})",
            mend="change only `event` or `value`, and leave the rest of the line as `taximeter dlq export` wrote it",
        ) from error
    if event is None or (_digest(event) == sha256 and letter.value is not None):
        return Outgoing(_known_as(letter, known), letter.value, edited=letter.letter_id != known)
    value = frame.header(registry.current_id()) + codec.encode_body(_event_of(event, letter, registry))
    return Outgoing(_known_as(letter, known), value, edited=True)


def _letter_in(line: Mapping[str, Any]) -> Letter:
    source = line.get("source")
    return Letter(
        place=Place.parse(line["place"]),
        at=datetime.fromisoformat(line["at"]).astimezone(UTC),
        reason=str(line["reason"]),
        error=str(line.get("error", "")),
        source=source and Source(str(source["topic"]), int(source["partition"]), int(source["offset"])),
        key=_bytes(line.get("key")),
        value=_bytes(line.get("value")),
        headers=tuple((str(name), _bytes(value)) for name, value in line.get("headers", ())),
    )


def _id_in(line: Mapping[str, Any]) -> str:
    known = str(line["letter_id"])
    if not _LETTER_ID.fullmatch(known):
        raise ValueError("letter_id is not what was exported")
    return known


def _event_of(fields: Any, letter: Letter, registry: Registry) -> MeterEvent:
    try:
        event = MeterEvent.model_validate(fields)
    except ValidationError as error:
        wrong = sorted({".".join(str(part) for part in problem["loc"]) for problem in error.errors()})
        raise Misconfigured(
            f"the event breaks the rules of an event: {', '.join(wrong) or 'it is no object'}",
            mend="correct these fields, or leave the line out of the file",
        ) from error
    before = read(letter.value, registry).fields or {}
    if letter.reason not in _ABOUT_IDS and "event_id" in before and before["event_id"] != str(event.event_id):
        raise Misconfigured(
            "the event has another event_id than before: it could be counted twice",
            mend=f"write {before['event_id']} again",
        )
    return event


def _known_as(letter: Letter, letter_id: str) -> Letter:
    """The letter under the id that it had when it was exported, whatever was changed in the line."""
    known = replace(letter)
    # Where a cached property keeps its value.
    known.__dict__["letter_id"] = letter_id
    return known


def _digest(event: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)
