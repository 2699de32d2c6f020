"""The intent: what the sink tells Kafka in the commit's metadata before it inserts.

A commit is (offset, metadata): everything below `offset` is stored, and `metadata` names the batches that are being
stored from there on, in order, each with its range and its content's hash. After a crash the new owner of the partition
reads it, cuts the very same batches again and inserts them under the same deduplication token: what the engine already
has it drops. A broker that loses the metadata costs nothing but physical duplicates, which storage collapses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSION = 1


@dataclass(frozen=True)
class Intent:
    """One batch that was about to be stored: offsets inclusive, and the hash of its content, hexadecimal."""

    first: int
    last: int
    content_hash: str


def to_metadata(intents: Sequence[Intent]) -> str:
    """The commit metadata; empty when nothing is in flight. About 70 bytes for each intent; brokers allow 4,096."""
    if not intents:
        return ""
    batches = [[intent.first, intent.last, intent.content_hash] for intent in intents]
    return json.dumps({"taximeter": _VERSION, "batches": batches}, separators=(",", ":"))


def from_metadata(metadata: str | None, committed: int) -> list[Intent]:
    """The intents in a commit's metadata that still hold for its offset.

    Metadata of another program, of another version, or that contradicts the offset is no intent: the batches are then
    cut afresh, which is safe.
    """
    if not metadata:
        return []
    try:
        content = json.loads(metadata)
        if content["taximeter"] != _VERSION:
            return []
        intents = [Intent(int(first), int(last), str(digest)) for first, last, digest in content["batches"]]
    except (ValueError, TypeError, KeyError):
        return []
    expected = committed
    for intent in intents:
        if intent.first < expected or intent.last < intent.first:
            return []
        expected = intent.last + 1
    return intents
