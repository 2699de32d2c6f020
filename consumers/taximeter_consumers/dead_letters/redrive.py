"""Sending letters back to the events: those that are open, and that would be stored now.

A few hundred at a time: how they stand is looked up, the engine is asked whether it would take them, they are sent,
and when the broker has acknowledged all of them they are remembered. Killed in between, the same command sends that
chunk again, under the same event ids, so each is counted once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from taximeter_consumers import failpoints
from taximeter_consumers.archive.message import ArchivedMessage
from taximeter_consumers.dead_letters.choice import State, in_chunks
from taximeter_schemas.errors import Poison

if TYPE_CHECKING:
    from taximeter_consumers.archive.message import ReadMessage
    from taximeter_consumers.dead_letters.letter import Letter
    from taximeter_consumers.dead_letters.lines import Outgoing
    from taximeter_consumers.dead_letters.memory import Memory, Order
    from taximeter_consumers.dead_letters.trial import Trial
    from taximeter_consumers.replay.pace import Pace

CHUNK: Final = 500
MOST_NAMED: Final = 100


class Sender(Protocol):
    """Where letters go: `TopicCopy`."""

    def write(self, message: ReadMessage, event: None, /) -> None:
        """Send one."""

    def keep(self) -> None:
        """Returns when all that was sent is acknowledged. Raises Retryable or Misconfigured."""


@dataclass
class Outcome:
    """What came of a redrive. `refused` would have become dead letters again and were not sent, unless forced."""

    read: int = 0
    sent: int = 0
    edited: int = 0
    done_before: Counter[State] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    named: list[tuple[Letter, Poison]] = field(default_factory=list)
    forced: bool = False

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "read": self.read,
            "sent": self.sent,
            "edited": self.edited,
            "redriven_before": self.done_before[State.REDRIVEN],
            "dropped_before": self.done_before[State.DROPPED],
            "refused": dict(sorted(self.refused.items())),
            "refused_places": [
                {"place": str(letter.place), "reason": poison.reason, "error": str(poison)}
                for letter, poison in self.named
            ],
        }


@dataclass(frozen=True)
class Conduct:
    """How it goes. Without a sender nothing is sent and nothing remembered: only counted."""

    sender: Sender | None
    force: bool = False
    pace: Pace | None = None
    on_progress: Callable[[int], None] = lambda _: None


def redrive(letters: Iterable[Outgoing], memory: Memory, trial: Trial, order: Order, conduct: Conduct) -> Outcome:
    """Sends what is open and good. Letters come once each (`once`). Raises Retryable or Misconfigured; to do it again
    is safe."""
    outcome = Outcome(forced=conduct.force)
    for chunk in in_chunks(letters, CHUNK):
        outcome.read += len(chunk)
        states = memory.states([one.letter for one in chunk])
        outcome.done_before.update(states[one.letter.letter_id] for one in chunk if one.letter.letter_id in states)
        open_ones = [one for one in chunk if one.letter.letter_id not in states]
        bad = trial.bad([one.value for one in open_ones], int(time.time() * 1000))
        _note_refused(outcome, open_ones, bad)
        good = [one for at, one in enumerate(open_ones) if conduct.force or at not in bad]
        _send(good, memory, order, conduct, outcome)
        conduct.on_progress(outcome.read)
    return outcome


def _note_refused(outcome: Outcome, chunk: Sequence[Outgoing], bad: Mapping[int, Poison]) -> None:
    for at, poison in sorted(bad.items()):
        outcome.refused[poison.reason] += 1
        if len(outcome.named) < MOST_NAMED:
            outcome.named.append((chunk[at].letter, poison))


def _send(chunk: Sequence[Outgoing], memory: Memory, order: Order, conduct: Conduct, outcome: Outcome) -> None:
    if conduct.sender is not None and chunk:
        for number, one in enumerate(chunk):
            if conduct.pace is not None:
                conduct.pace.at(outcome.sent + number)
            conduct.sender.write(_message(one, order.target), None)
        conduct.sender.keep()
        failpoints.reached("dlq.sent")
        memory.note(
            order, [one.letter for one in chunk], frozenset(one.letter.letter_id for one in chunk if one.edited)
        )
        failpoints.reached("dlq.noted")
    outcome.sent += len(chunk)
    outcome.edited += sum(one.edited for one in chunk)


def _message(one: Outgoing, topic: str) -> ArchivedMessage:
    """The record as a message: key and headers of its own."""
    letter = one.letter
    return ArchivedMessage(
        topic,
        letter.place.partition,
        letter.place.offset,
        int(letter.at.timestamp() * 1000),
        letter.key,
        one.value,
        letter.headers,
    )
