"""What a decision wants done outside the machine. Effects are values; whoever runs the machine carries them out.

After a crash the log is decided again, so an effect may be carried out twice: answers and alerts have ids, a `Load`
only asks, a quote is answered by the live owner alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from taximeter_schemas.quota.answers import Alert, Answer
from taximeter_schemas.quota.commands import Quote
from taximeter_schemas.quota.subject import Subject


@dataclass(frozen=True, slots=True)
class Reply:
    """Send `answer` to partition `answer_to` of the answers topic."""

    answer: Answer
    answer_to: int


@dataclass(frozen=True, slots=True)
class Load:
    """Facts of every level of `subject` are wanted: commands of `root` wait for them."""

    root: str
    subject: Subject


@dataclass(frozen=True, slots=True)
class AskQuote:
    """Answer this from history: no state is needed for it."""

    command: Quote


@dataclass(frozen=True, slots=True)
class Raise:
    """Tell of a threshold that was reached."""

    alert: Alert


Effect = Reply | Load | AskQuote | Raise
