"""Which part of a topic to read: what was asked for, resolved against what is there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from taximeter_schemas.errors import Misconfigured


@dataclass(frozen=True)
class Offsets:
    """Offsets as given: one for every partition, or one of a partition's own."""

    everywhere: int | None = None
    own: Mapping[int, int] = field(default_factory=dict)

    def of(self, partition: int) -> int | None:
        """The offset for a partition, None where none was given."""
        return self.own.get(partition, self.everywhere)


@dataclass(frozen=True)
class TopicRange:
    """What was asked for. `first` is read, `end` is not; times are those of the broker's arrival stamps.

    Without partitions: all. Where offset and time are both given, the narrower of them counts.
    """

    partitions: frozenset[int] = frozenset()
    first: Offsets = Offsets()
    end: Offsets = Offsets()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Found:
    """What is there: the log's ends now, and the offsets of the two times (None: no record that late)."""

    low: int
    high: int
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True)
class Span:
    """The offsets `first` to `end` (exclusive) of a partition. `gone` were asked for and are deleted already."""

    partition: int
    first: int
    end: int
    gone: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to read."""
        return self.first >= self.end


def chosen_partitions(wanted: TopicRange, present: frozenset[int]) -> list[int]:
    """The partitions to read. Raises Misconfigured for one that the topic does not have."""
    named = wanted.partitions | wanted.first.own.keys() | wanted.end.own.keys()
    missing = sorted(named - present)
    if missing:
        raise Misconfigured(
            f"the topic has no partition {missing[0]}", mend=f"its partitions are 0 to {max(present, default=0)}"
        )
    return sorted(wanted.partitions or present)


def resolve(wanted: TopicRange, partition: int, found: Found) -> Span:
    """What to read of a partition, never past the end that it had when it was looked at."""
    asked = wanted.first.of(partition)
    first = found.low if asked is None else asked
    if wanted.since is not None:
        first = max(first, found.high if found.since is None else found.since)
    end = found.high
    if wanted.until is not None and found.until is not None:
        end = min(end, found.until)
    last = wanted.end.of(partition)
    if last is not None:
        end = min(end, last)
    begin = max(first, found.low)
    gone = max(0, min(begin, end) - first) if first < found.low else 0
    return Span(partition, begin, max(begin, end), gone)
