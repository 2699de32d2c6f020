"""A dead letter as a value: the record as it was, where it lay, why it was set aside, and where the letter lies.

The sink writes a letter twice when it is killed in between, under the same source coordinates. Both have one
`letter_id`, so what is remembered of one holds for the other. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from taximeter_consumers.archive.message import as_bytes

if TYPE_CHECKING:
    from taximeter_consumers.archive.message import ReadMessage

Headers = Sequence[tuple[str, "bytes | None"]]

_OURS: Final = frozenset(
    f"taximeter-{name}"
    for name in ("reason", "error", "source-topic", "source-partition", "source-offset", "attempts", "time")
)
PLACE: Final = "taximeter-place"
"""The last header of a letter in a file: where the letter lay, which the file's own records do not say. Anywhere else
a header of this name is the record's own."""
NO_REASON: Final = "unknown"
"""The reason of what lies among the dead letters and was not written by a sink."""
# Coordinates in headers may be anybody's text, and a record's time is its producer's word: neither may stop a listing.
_COORDINATE: Final = re.compile(r"[0-9]{1,19}")
_LAST_MILLIS: Final = 253_402_300_799_000


class Place(NamedTuple):
    """Where a message lies in its topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """`2:1041`, as `str` writes it. Raises ValueError."""
        partition, _, offset = text.partition(":")
        if not (_COORDINATE.fullmatch(partition) and _COORDINATE.fullmatch(offset)):
            raise ValueError(f"{text!r} is not PARTITION:OFFSET")
        return cls(int(partition), int(offset))


@dataclass(frozen=True)
class Source:
    """Where the record lay before it was set aside."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic} {self.partition}:{self.offset}"


@dataclass(frozen=True)
class Letter:
    """`at` is the broker's time of the letter; `headers` are the record's own, without those of the sink."""

    place: Place
    at: datetime
    reason: str
    error: str
    source: Source | None
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    attempts: str = ""

    @cached_property
    def letter_id(self) -> str:
        """128 bits from the coordinates, key and value of the record, hexadecimal."""
        where = str(self.source or self.place).encode()
        digest = hashlib.blake2b(digest_size=16)
        for part in (where, self.key, self.value):
            digest.update(b"-" if part is None else b"%d:%s" % (len(part), part))
        return digest.hexdigest()


def letter_of(message: ReadMessage) -> Letter:
    """The letter in a message of the dead-letter topic."""
    return _letter(message, _headers(message), Place(message.partition(), message.offset()))


def exported_letter(message: ReadMessage) -> Letter:
    """The letter in a message of a file that letters were exported to; of another file, as `letter_of`. Raises
    ValueError where the last header should be its place and is none."""
    headers = _headers(message)
    if headers and headers[-1][0] == PLACE:
        return _letter(message, headers[:-1], Place.parse((headers[-1][1] or b"").decode("utf-8", "replace")))
    return letter_of(message)


def _letter(message: ReadMessage, headers: Headers, place: Place) -> Letter:
    ours, kept = _parted(headers)
    return Letter(
        place=place,
        at=_moment(message.timestamp()[1]),
        reason=ours.get("taximeter-reason", "") or NO_REASON,
        error=ours.get("taximeter-error", ""),
        source=_source(ours),
        key=as_bytes(message.key()),
        value=as_bytes(message.value()),
        headers=kept,
        attempts=ours.get("taximeter-attempts", ""),
    )


def _moment(millis: int) -> datetime:
    """The time, between the years 1970 and 9999; what lies outside was nonsense, and stands at the nearer end."""
    return datetime.fromtimestamp(min(max(millis, 0), _LAST_MILLIS) / 1000, UTC)


def _headers(message: ReadMessage) -> Headers:
    found = message.headers() or []
    return [(name, as_bytes(value)) for name, value in (found.items() if isinstance(found, dict) else found)]


def _parted(headers: Headers) -> tuple[dict[str, str], Headers]:
    """The sink's headers, and the record's own. The sink writes its own last; a record that was a dead letter once
    more has an older set among its own, which stays there."""
    ours: dict[str, str] = {}
    kept: list[tuple[str, bytes | None]] = []
    for name, value in reversed(headers):
        if name in _OURS and name not in ours:
            ours[name] = (value or b"").decode("utf-8", "replace")
        else:
            kept.append((name, value))
    return ours, tuple(reversed(kept))


def _source(ours: dict[str, str]) -> Source | None:
    topic, partition, offset = (ours.get(f"taximeter-source-{name}", "") for name in ("topic", "partition", "offset"))
    if not (topic and _COORDINATE.fullmatch(partition) and _COORDINATE.fullmatch(offset)):
        return None
    return Source(topic, int(partition), int(offset))
