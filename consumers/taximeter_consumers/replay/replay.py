"""One replay: messages in, those that are wanted out, what cannot be decoded counted and named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from taximeter_schemas import codec
from taximeter_schemas.errors import Poison

if TYPE_CHECKING:
    from confluent_kafka import Message

    from taximeter_consumers.replay.destinations import Destination
    from taximeter_consumers.replay.event_filter import EventFilter
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

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"read": self.read, "written": self.written, "undecodable": [str(one) for one in self.named]}


def replay(
    messages: Iterable[Message],
    registry: Registry,
    wanted: EventFilter,
    destination: Destination,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Hands the wanted messages on. The destination is finished, or abandoned when anything fails, also an interrupt.

    Messages are decoded only where the filter or the destination asks for it, so a copy of a whole range copies bad
    ones too. Raises what the reader, the registry (Retryable) and the destination raise.
    """
    outcome = Outcome()
    decodes = destination.wants_events or not wanted.selects_all
    try:
        for message in messages:
            outcome.read += 1
            if outcome.read % 500 == 0:
                on_progress(outcome.read)
            event = None
            if decodes:
                try:
                    event = codec.decode(message.value(), registry)
                except Poison as poison:
                    _note(outcome, message, poison)
                    continue
                if not wanted.selects(event):
                    continue
            destination.write(message, event)
            outcome.written += 1
        destination.finish()
    except BaseException:
        destination.abandon()
        raise
    on_progress(outcome.read)
    return outcome


def _note(outcome: Outcome, message: Message, poison: Poison) -> None:
    outcome.bad += 1
    if len(outcome.named) < MOST_NAMED:
        place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
        outcome.named.append(BadMessage(*place, poison.reason))
