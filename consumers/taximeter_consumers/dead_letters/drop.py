"""Letters that nobody wants sent any more: remembered as dropped, with who said so and why.

Nothing is deleted: Kafka keeps the bytes until retention, and the audit finds them there. Killed in between, some are
dropped; the same command drops the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.dead_letters.choice import State, in_chunks

if TYPE_CHECKING:
    from taximeter_consumers.dead_letters.letter import Letter
    from taximeter_consumers.dead_letters.memory import Memory, Order

_CHUNK: Final = 2_000


@dataclass
class Dropped:
    """What came of it: letters dropped by reason, and those that were not open."""

    read: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    done_before: Counter[State] = field(default_factory=Counter)

    @property
    def letters(self) -> int:
        """How many were dropped."""
        return self.reasons.total()

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "dropped": self.letters,
            "reasons": dict(sorted(self.reasons.items())),
            "redriven_before": self.done_before[State.REDRIVEN],
            "dropped_before": self.done_before[State.DROPPED],
        }


def drop(
    letters: Iterable[Letter],
    memory: Memory,
    order: Order | None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Dropped:
    """Drops the open ones among letters that come once each (`once`); without an order they are only counted.

    Raises Retryable or Misconfigured."""
    dropped = Dropped()
    for chunk in in_chunks(letters, _CHUNK):
        dropped.read += len(chunk)
        states = memory.states(chunk)
        dropped.done_before.update(states[letter.letter_id] for letter in chunk if letter.letter_id in states)
        open_ones = [letter for letter in chunk if letter.letter_id not in states]
        if order is not None:
            memory.note(order, open_ones)
        dropped.reasons.update(letter.reason for letter in open_ones)
        on_progress(dropped.read)
    return dropped
