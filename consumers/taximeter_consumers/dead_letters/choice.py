"""Which letters are meant, how each stands, and how many there are of a kind. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from taximeter_consumers.replay.topic_range import Offsets, TopicRange

if TYPE_CHECKING:
    from taximeter_consumers.dead_letters.letter import Letter, Place


T = TypeVar("T")


class State(StrEnum):
    """How a letter stands. What was redriven and became a dead letter again is another letter, and open."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DROPPED = "dropped"


States = Mapping[str, State]
"""By letter id; what is missing is open."""


@dataclass(frozen=True)
class Choice:
    """A letter is meant if each set that is not empty has it, and it came from `since` (inclusive) until `until`
    (exclusive), by the time when it was set aside."""

    reasons: frozenset[str] = frozenset()
    places: frozenset[Place] = frozenset()
    since: datetime | None = None
    until: datetime | None = None

    def has(self, letter: Letter) -> bool:
        """Whether it is meant."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.places or letter.place in self.places)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
        )

    def range(self) -> TopicRange:
        """What of the topic must be read for it."""
        offsets: dict[int, list[int]] = {}
        for place in self.places:
            offsets.setdefault(place.partition, []).append(place.offset)
        return TopicRange(
            frozenset(offsets),
            Offsets(own={partition: min(found) for partition, found in offsets.items()}),
            Offsets(own={partition: max(found) + 1 for partition, found in offsets.items()}),
            self.since,
            self.until,
        )


class Kind(NamedTuple):
    """What letters of one line of a list have in common."""

    reason: str
    source_topic: str
    error: str
    state: State


@dataclass
class Group:
    """Some letters of one kind. `copies` were written a second time and are not counted."""

    kind: Kind
    example: Place
    first: datetime
    last: datetime
    letters: int = 0
    copies: int = 0

    def take(self, letter: Letter) -> None:
        """Counts one."""
        self.letters += 1
        self.first, self.last = min(self.first, letter.at), max(self.last, letter.at)


@dataclass
class Summary:
    """Letters as they are counted; memory holds their ids, and the kinds."""

    groups: dict[Kind, Group] = field(default_factory=dict)
    _seen: set[bytes] = field(default_factory=set)

    def take(self, letter: Letter, state: State) -> None:
        """Counts one, or a copy of one."""
        source_topic = letter.source.topic if letter.source else ""
        kind = Kind(letter.reason, source_topic, letter.error, state)
        group = self.groups.get(kind)
        if group is None:
            group = self.groups[kind] = Group(kind, letter.place, letter.at, letter.at)
        identity = bytes.fromhex(letter.letter_id)
        if identity in self._seen:
            group.copies += 1
        else:
            self._seen.add(identity)
            group.take(letter)

    @property
    def letters(self) -> int:
        """How many in all."""
        return sum(group.letters for group in self.groups.values())

    def sorted(self) -> list[Group]:
        """Open ones first, then the largest."""
        order = list(State)
        return sorted(
            self.groups.values(), key=lambda group: (order.index(group.kind.state), -group.letters, group.kind)
        )


def once(items: Iterable[T], id_of: Callable[[T], str]) -> Iterator[T]:
    """The first of each letter id, whatever copies there are; memory holds their ids."""
    seen: set[bytes] = set()
    for item in items:
        identity = bytes.fromhex(id_of(item))
        if identity not in seen:
            seen.add(identity)
            yield item


def in_chunks(letters: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    """Some at a time."""
    rest = iter(letters)
    while chunk := list(islice(rest, size)):
        yield chunk
