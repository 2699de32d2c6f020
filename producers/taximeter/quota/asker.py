"""The asker: addresses commands, follows a move of an account once, and lets go of holds that nobody heard of in time.

Safe across threads. The line is opened by the first question, and anew in a forked child.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from taximeter.faults import Faults
from taximeter.quota import living
from taximeter.quota.line import Line, Outcome, Place, QuotaUnavailable, Then, new_id, open_line
from taximeter_schemas.quota.answers import Answer, Status
from taximeter_schemas.quota.commands import Asked, Release, Reserve
from taximeter_schemas.quota.subject import LevelKind, Subject
from taximeter_schemas.settings import KafkaSettings, TopicSettings

_REMEMBERED = 100_000
_ENDED = (Status.SETTLED, Status.RELEASED, Status.UNKNOWN_HOLD)


@dataclass(frozen=True)
class Question:
    """A command without its address: what is asked, and of whom. `hold_id` where it is about a hold."""

    kind: type[Asked]
    words: dict[str, Any]
    subject: Subject | None = None
    hold_id: str = ""
    moves: int = field(default=1)  # how often a move is followed

    @property
    def may_hold(self) -> bool:
        """Whether an answer that nobody hears would leave something held."""
        return self.kind is Reserve and not self.words.get("dry_run")


class Asker:
    """Shared by a client, its async form and a gate."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, faults: Faults | None = None) -> None:
        """Kafka need not be there yet."""
        self._place = Place(kafka, topics, faults or Faults())
        self._begin()
        living.is_asker(self)

    def _begin(self) -> None:
        self._opening = threading.Lock()
        self._line: Line | None = None
        self._closed = False
        self._organisations: dict[str, str] = {}
        self._roots: dict[str, str] = {}

    @property
    def faults(self) -> Faults:
        """Where it says what went wrong."""
        return self._place.faults

    @property
    def is_open(self) -> bool:
        """Whether a question can be sent without waiting for Kafka."""
        return self._line is not None

    def open(self) -> Line:
        """The line; made now if need be, which waits for Kafka. Raises QuotaUnavailable or Misconfigured."""
        line = self._line
        if line is not None:
            return line
        with self._opening:
            if self._closed:
                raise QuotaUnavailable("the quota client is closed")
            if self._line is None:
                self._line = open_line(self._place)
                self._line.owner = self
            return self._line

    def subject_of(self, subject: Subject) -> Subject:
        """With the organisation that the service has named for its account."""
        known = "" if subject.organisation_id else self._organisations.get(subject.account_id, "")
        return subject.model_copy(update={"organisation_id": known}) if known else subject

    def root_of(self, hold_id: str, subject: Subject | None) -> str:
        """Where a hold is decided; empty where nobody has said."""
        return self._roots.get(hold_id) or ("" if subject is None else self.subject_of(subject).root)

    def ask(self, question: Question, seconds: float, then: Then) -> Callable[[], None]:
        """Ask, and hand the answer to `then` on the line's thread, or QuotaUnavailable.

        Returns what to call when nobody waits any more: a hold that may have been made is let go of. Raises
        QuotaUnavailable or Misconfigured where there is no line, ValueError for words that make no command.
        """
        line = self.open()
        until = time.monotonic() + seconds
        command = self._addressed(line, question, seconds)
        root = command.subject.root if isinstance(command, Reserve) else ""
        given_up = threading.Event()

        def give_up() -> None:
            if question.may_hold:
                given_up.set()
                self.let_go(question.hold_id, root)

        def heard(outcome: Outcome) -> None:
            if isinstance(outcome, Answer):
                if outcome.status is Status.MOVED and question.moves and question.subject is not None:
                    self._follow(question, outcome, until, then)
                    return
                self._learn(outcome, root)
                if given_up.is_set() and outcome.is_granted:
                    # It had waited for what is used to be known while its release passed by.
                    self.let_go(question.hold_id, root)
            elif question.may_hold:
                self.let_go(question.hold_id, root)
            then(outcome)

        line.send(command, seconds, heard)
        return give_up

    def _addressed(self, line: Line, question: Question, seconds: float) -> Asked:
        address = {
            "command_id": new_id(),
            "caller": line.caller,
            "answer_to": line.answer_to,
            "wait_ms": min(3_600_000, int(seconds * 1_000)),
        }
        words = dict(question.words)
        if question.subject is not None:
            words["subject"] = self.subject_of(question.subject)
        return question.kind(**address, **words)

    def _follow(self, question: Question, answer: Answer, until: float, then: Then) -> None:
        kind, _, name = answer.moved_to.partition("/")
        organisation = unquote(name) if kind == LevelKind.ORGANISATION else ""
        subject = question.subject
        if subject is None:
            return
        if organisation:
            if len(self._organisations) >= _REMEMBERED:
                self._organisations.clear()
            self._organisations[subject.account_id] = organisation
        else:
            self._organisations.pop(subject.account_id, None)
        moved = subject.model_copy(update={"organisation_id": organisation})
        left = max(0.1, until - time.monotonic())
        self.ask(replace(question, subject=moved, moves=question.moves - 1), left, then)

    def _learn(self, answer: Answer, root: str) -> None:
        if answer.is_granted and root:
            if len(self._roots) >= _REMEMBERED:
                self._roots.clear()
            self._roots[answer.hold_id] = root
        elif answer.status in _ENDED:
            self._roots.pop(answer.hold_id, None)

    def let_go(self, hold_id: str, root: str) -> None:
        """Release a hold without waiting for the answer. Never raises."""
        line = self._line
        if line is not None and root:
            address = {"command_id": new_id(), "caller": line.caller, "answer_to": line.answer_to, "wait_ms": 0}
            line.tell(Release(**address, root=root, hold_id=hold_id))

    def close(self) -> None:
        """End the line. Later questions raise QuotaUnavailable. Closing twice is harmless."""
        with self._opening:
            self._closed = True
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def close_at_exit(self) -> None:
        """As `close`."""
        self.close()

    def begin_in_child(self) -> None:
        """Leave the parent's line to the parent."""
        line, closed = self._line, self._closed
        self.faults.reset()
        self._begin()
        self._closed = closed
        if line is not None:
            line.abandon()
