"""A thread with a ClickHouse connection of its own, over a queue of questions.

What fails refuses the questions at hand, and all that come within the next seconds at once: nobody waits in a row for a
server that is away.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import structlog

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_schemas.errors import TaximeterError

if TYPE_CHECKING:
    from taximeter_schemas.settings import ClickHouseSettings

T = TypeVar("T")
_log = structlog.get_logger()
_AT_ONCE: Final = 200


class Line:
    """A connection that is opened when it is needed, and given up for a while when it fails."""

    def __init__(self, settings: ClickHouseSettings, timeout_seconds: float, retry_seconds: float) -> None:
        self._settings = settings
        self._timeout_seconds = timeout_seconds
        self._retry_seconds = retry_seconds
        self._open: ClickHouse | None = None
        self._not_before = 0.0

    @property
    def is_given_up(self) -> bool:
        """Whether it failed a moment ago."""
        return time.monotonic() < self._not_before

    def connected(self) -> ClickHouse:
        """The connection. Raises Retryable or Misconfigured."""
        if self._open is None:
            self._open = connect(self._settings, timeout_seconds=self._timeout_seconds)
        return self._open

    def failed(self) -> None:
        """Gives it up."""
        self.close()
        self._not_before = time.monotonic() + self._retry_seconds

    def close(self) -> None:
        """Closes the sockets."""
        if self._open is not None:
            with suppress(Exception):
                self._open.close()
            self._open = None


class Desk(Generic[T]):
    """`answer` takes some questions at a time; `refuse` those which it failed at, with the error's text."""

    def __init__(
        self,
        name: str,
        line: Line,
        answer: Callable[[ClickHouse, Sequence[T]], None],
        refuse: Callable[[Sequence[T], str], None],
    ) -> None:
        self._line = line
        self._answer = answer
        self._refuse = refuse
        self._todo: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def ask(self, question: T) -> None:
        """Puts a question at the end of the queue."""
        self._todo.put(question)

    def close(self, timeout_seconds: float) -> None:
        """Answers what is in the queue, within that time."""
        self._todo.put(None)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while (question := self._todo.get()) is not None:
            questions, ended = [question], False
            while not ended and not self._todo.empty() and len(questions) < _AT_ONCE:
                further = self._todo.get()
                if further is None:
                    ended = True
                else:
                    questions.append(further)
            self._serve(questions)
            if ended:
                break
        self._line.close()

    def _serve(self, questions: Sequence[T]) -> None:
        try:
            self._answer_or_refuse(questions)
        except Exception:  # noqa: BLE001 - a thread that dies in silence would leave everybody waiting
            _log.exception("questions to ClickHouse went without an answer")

    def _answer_or_refuse(self, questions: Sequence[T]) -> None:
        if self._line.is_given_up:
            self._refuse(questions, "ClickHouse did not answer a moment ago")
            return
        try:
            self._answer(self._line.connected(), questions)
        except TaximeterError as error:
            _log.warning("ClickHouse does not answer", error=str(error))
            self._line.failed()
            self._refuse(questions, str(error))
        except Exception:  # noqa: BLE001 - who asked is told
            _log.exception("a question to ClickHouse went wrong")
            self._line.failed()
            self._refuse(questions, "it went wrong; see the service's log")
