"""One message of a topic as an archive keeps it: key, value, headers, offset and the broker's time, byte for byte.

It answers the same questions as a message of the Kafka client, so whoever reads a topic reads an archive as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

Headers = Sequence[tuple[str, "bytes | None"]]

RECORD_NAME: Final = "taximeter.ArchivedMessage"
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "record",
    "name": RECORD_NAME,
    "fields": [
        {"name": "offset", "type": "long"},
        {"name": "timestamp_ms", "type": "long"},
        {"name": "key", "type": ["null", "bytes"]},
        {"name": "value", "type": ["null", "bytes"]},
        {
            "name": "headers",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "taximeter.ArchivedHeader",
                    "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": ["null", "bytes"]}],
                },
            },
        },
    ],
}
"""The Avro schema of a file of an archive; a Parquet file has the same columns. Topic and partition are those of the
file's name and of the manifest."""
# As the Kafka client says it: the time is the broker's, or a producer's that the broker kept.
_TIMESTAMP_TYPE: Final = 2


class ReadMessage(Protocol):
    """What a replay asks of a message, wherever it was read."""

    def topic(self) -> Any:
        """The topic's name."""

    def partition(self) -> Any:
        """The partition's number."""

    def offset(self) -> Any:
        """The offset in it."""

    def key(self) -> Any:
        """The key's bytes, or None."""

    def value(self) -> Any:
        """The value's bytes; None of a tombstone."""

    def headers(self) -> Any:
        """Pairs of name and bytes, or None."""

    def timestamp(self) -> tuple[int, int]:
        """(type, Unix milliseconds)."""


@dataclass(frozen=True)
class ArchivedMessage:
    """A message out of a file. `at_ms` is the broker's time, Unix milliseconds."""

    of_topic: str
    of_partition: int
    at_offset: int
    at_ms: int
    of_key: bytes | None
    of_value: bytes | None
    of_headers: Headers = ()

    def topic(self) -> str:
        """The topic's name."""
        return self.of_topic

    def partition(self) -> int:
        """The partition's number."""
        return self.of_partition

    def offset(self) -> int:
        """The offset in it."""
        return self.at_offset

    def key(self) -> bytes | None:
        """The key's bytes, or None."""
        return self.of_key

    def value(self) -> bytes | None:
        """The value's bytes; None of a tombstone."""
        return self.of_value

    def headers(self) -> list[tuple[str, bytes | None]]:
        """Pairs of name and bytes."""
        return list(self.of_headers)

    def timestamp(self) -> tuple[int, int]:
        """(type, Unix milliseconds)."""
        return _TIMESTAMP_TYPE, self.at_ms


def to_record(message: ReadMessage) -> dict[str, Any]:
    """The message as a record of `SCHEMA`."""
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return {
        "offset": message.offset(),
        "timestamp_ms": message.timestamp()[1],
        "key": as_bytes(message.key()),
        "value": as_bytes(message.value()),
        "headers": [{"name": name, "value": as_bytes(value)} for name, value in pairs],
    }


def from_record(record: Mapping[str, Any], topic: str, partition: int) -> ArchivedMessage:
    """The message in a record of `SCHEMA`. Raises KeyError where it is another record."""
    return ArchivedMessage(
        topic,
        partition,
        record["offset"],
        record["timestamp_ms"],
        record["key"],
        record["value"],
        tuple((header["name"], header["value"]) for header in record["headers"]),
    )


def as_bytes(value: str | bytes | None) -> bytes | None:
    """Keys and headers may be text in the client; in a file they are bytes."""
    return value.encode() if isinstance(value, str) else value
