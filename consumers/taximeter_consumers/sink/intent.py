"""The intent: what the sink tells Kafka in the commit's metadata before it inserts.

A commit is (offset, metadata): everything below `offset` is stored, and `metadata` names the bundles that are being
stored from there on, in order, each by the slices of the log that it consists of, of this partition and of others.
After a crash the new owner reads it, cuts the very same bundles again and inserts them under the same deduplication
token: what the engine already has it drops. The log's own identity stands beside them, for a topic that was deleted
and made anew under the same name has offsets that mean something else.

A broker that loses the metadata costs nothing but physical duplicates, which storage collapses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSION = 2
# Brokers take 4,096 bytes of metadata by default (offset.metadata.max.bytes). A slice takes up to 32 (offsets of 13
# digits), so that three bundles of 32 slices fit.
MOST_SLICES = 32


@dataclass(frozen=True, order=True)
class Slice:
    """A stretch of one partition's log; offsets inclusive."""

    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        """As it stands in the metadata."""
        return f"{self.partition}:{self.first}-{self.last}"


# One bundle, by partition.
Intent = tuple[Slice, ...]


@dataclass(frozen=True)
class Standing:
    """Where a partition stands: everything below `offset` is stored; negative: nothing was ever committed.

    `log` is the identity of the log that the offsets belong to; None where the commit is not the sink's, empty where
    the broker has no identities.
    """

    offset: int
    log: str | None = None
    intents: tuple[Intent, ...] = ()


def to_metadata(log: str, intents: Sequence[Intent]) -> str:
    """The commit metadata of one partition."""
    bundles = [",".join(map(str, intent)) for intent in intents]
    return json.dumps({"taximeter": _VERSION, "log": log, "bundles": bundles}, separators=(",", ":"))


def from_metadata(metadata: str | None, partition: int, committed: int) -> Standing:
    """What a commit says of one partition.

    Metadata of another program or of another version says nothing. Bundles that contradict the offset are no intent:
    the log is then cut afresh, which is safe.
    """
    try:
        content = json.loads(metadata or "")
        if content["taximeter"] != _VERSION:
            return Standing(committed)
        log, intents = str(content["log"]), tuple(map(_intent, content["bundles"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Standing(committed)
    expected = committed
    for intent in intents:
        own = [one for one in intent if one.partition == partition]
        if len(own) != 1 or own[0].first < expected:
            return Standing(committed, log)
        expected = own[0].last + 1
    return Standing(committed, log, intents)


def _intent(text: str) -> Intent:
    slices = []
    for part in text.split(","):
        partition, _, stretch = part.partition(":")
        first, _, last = stretch.partition("-")
        one = Slice(int(partition), int(first), int(last))
        if one.partition < 0 or not 0 <= one.first <= one.last:
            raise ValueError("no stretch of a log")
        slices.append(one)
    if len({one.partition for one in slices}) != len(slices):
        raise ValueError("a bundle has one slice of a partition")
    return tuple(slices)
