"""One replay: messages in, those that are wanted out, what cannot be decoded counted and named.

With a checkpoint the destination makes durable what it has, now and then, and the place is noted: after kill -9 the
same replay goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from taximeter_consumers import failpoints
from taximeter_consumers.replay import checkpoint as checkpoints
from taximeter_schemas import codec
from taximeter_schemas.errors import Poison

if TYPE_CHECKING:
    from taximeter_consumers.archive.message import ReadMessage
    from taximeter_consumers.replay.checkpoint import Checkpoint
    from taximeter_consumers.replay.destinations import Destination
    from taximeter_consumers.replay.event_filter import EventFilter
    from taximeter_consumers.replay.pace import Pace
    from taximeter_schemas.registry import Registry

MOST_NAMED = 100
"""How many undecodable messages are named one by one; the others are only counted."""


@dataclass(frozen=True)
class BadMessage:
    """Where an undecodable message lies, and why it is one."""

    topic: str
    partition: int
    offset: int
    reason: str

    def __str__(self) -> str:
        return f"{self.topic} {self.partition}:{self.offset} {self.reason}"


@dataclass
class Outcome:
    """What came of a replay: messages read, handed on, and undecodable."""

    read: int = 0
    written: int = 0
    bad: int = 0
    named: list[BadMessage] = field(default_factory=list)

    @classmethod
    def after(cls, counts: Mapping[str, int]) -> Outcome:
        """What an earlier run had counted, to be counted on."""
        return cls(counts.get("read", 0), counts.get("written", 0), counts.get("bad", 0))

    def counts(self) -> dict[str, int]:
        """The numbers, for a checkpoint."""
        return {"read": self.read, "written": self.written, "bad": self.bad}

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"read": self.read, "written": self.written, "undecodable": [str(one) for one in self.named]}


@dataclass(frozen=True)
class Conduct:
    """How a replay goes: what is told while it does, how fast it may be, and where its place is noted."""

    on_progress: Callable[[int], None] = lambda _: None
    pace: Pace | None = None
    checkpoint: Checkpoint | None = None


def replay(
    messages: Iterable[ReadMessage],
    registry: Registry,
    wanted: EventFilter,
    destination: Destination,
    conduct: Conduct | None = None,
) -> Outcome:
    """Hands the wanted messages on. The destination is finished, or abandoned when anything fails, also an interrupt;
    with a checkpoint it keeps what it has, to be taken up again.

    Messages are decoded only where the filter or the destination asks for it, so a copy of a whole range copies bad
    ones too. Raises what the reader, the registry (Retryable) and the destination raise.
    """
    conduct = conduct or Conduct()
    checkpoint = conduct.checkpoint
    outcome = Outcome.after(checkpoint.counts if checkpoint else {})
    try:
        for message in messages:
            _take(outcome, message, registry, wanted, destination)
            if checkpoint is not None:
                checkpoint.next_offsets[message.partition()] = message.offset() + 1
            if outcome.read % 500 == 0:
                conduct.on_progress(outcome.read)
                if conduct.pace is not None:
                    conduct.pace.at(outcome.read)
            if checkpoint is not None and outcome.read % checkpoints.EVERY == 0:
                kept = destination.keep()
                failpoints.reached("replay.kept")
                checkpoint.save(outcome.counts(), kept)
        destination.finish()
    except BaseException:
        destination.abandon()
        raise
    if checkpoint is not None:
        checkpoint.forget()
    conduct.on_progress(outcome.read)
    return outcome


def _take(
    outcome: Outcome, message: ReadMessage, registry: Registry, wanted: EventFilter, destination: Destination
) -> None:
    outcome.read += 1
    event = None
    if destination.wants_events or not wanted.selects_all:
        try:
            event = codec.decode(message.value(), registry)
        except Poison as poison:
            _note(outcome, message, poison)
            return
        if not wanted.selects(event):
            return
    destination.write(message, event)
    outcome.written += 1


def _note(outcome: Outcome, message: ReadMessage, poison: Poison) -> None:
    outcome.bad += 1
    if len(outcome.named) < MOST_NAMED:
        place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
        outcome.named.append(BadMessage(*place, poison.reason))
