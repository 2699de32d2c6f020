"""The client of the quota service: each call is one question through Kafka, and waits for its answer.

A call that gets no answer in time raises QuotaUnavailable; a reservation is then released, so nothing leaks. Whoever
dies while it holds something leaves it to expire. Safe across threads; works in a forked child.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self, Unpack

from taximeter.faults import Faults
from taximeter.quota import questions
from taximeter.quota.asker import Asker, Question
from taximeter.quota.denial import or_raise
from taximeter.quota.line import Outcome, QuotaUnavailable
from taximeter.quota.questions import Amounts, HoldWords, Percentile, ReserveWords, ShowWords
from taximeter.quota.settings import QuotaSettings
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.answers import Answer, Status
from taximeter_schemas.quota.subject import Subject
from taximeter_schemas.settings import KafkaSettings, TopicSettings

_GRACE_SECONDS = 1.0

QuestionOf = Callable[[str, str], Question]
"""Of a hold and its root."""


class QuotaClient:
    """`timeout` of every call is in seconds; left out, it is `TAXIMETER_QUOTA_ANSWER_SECONDS`.

    Calls raise QuotaUnavailable when nobody answers, Misconfigured where there is no root to ask, and ValueError for
    amounts that are none. A denial is an answer: `or_raise(answer)` makes an exception of it.
    """

    def __init__(self, asker: Asker, settings: QuotaSettings | None = None) -> None:
        self.asker = asker
        self.settings = settings or QuotaSettings.from_environment()

    @classmethod
    def from_environment(cls) -> Self:
        """By KAFKA_*, TAXIMETER_TOPIC_* and TAXIMETER_QUOTA_*. Kafka need not be there yet. Raises Misconfigured."""
        return cls(asker_from_environment(), QuotaSettings.from_environment())

    def reserve(self, subject: Subject, amounts: Amounts, **words: Unpack[ReserveWords]) -> Answer:
        """Hold `amounts` before the work: granted (also `degraded`), denied, or unavailable.

        The events of the work must carry the answer's `transaction_id`.
        """
        return self._ask(questions.reserve(subject, amounts, words), words.get("timeout"))

    def check(self, subject: Subject, amounts: Amounts, *, timeout: float | None = None) -> Answer:
        """What a reservation would be answered. Nothing is held, so another may be quicker."""
        return self.reserve(subject, amounts, dry_run=True, timeout=timeout)

    def confirm(
        self, hold: str | Answer, actual: Amounts, *, subject: Subject | None = None, timeout: float | None = None
    ) -> Answer:
        """The work is done and used `actual`; a held meter that is left out counts as used up.

        `hold` is a reservation's answer or its hold_id; `subject` says whose it is where another process made it.
        """
        return self._settle(hold, subject, timeout, lambda hold_id, root: questions.confirm(hold_id, root, actual))

    def release(self, hold: str | Answer, *, subject: Subject | None = None, timeout: float | None = None) -> Answer:
        """The work is not done: what is held returns, but for what inner holds used."""
        return self._settle(hold, subject, timeout, questions.release)

    def extend(
        self, hold: str | Answer, ttl: int, *, subject: Subject | None = None, timeout: float | None = None
    ) -> Answer:
        """The hold is needed for `ttl` seconds from now on."""
        return self._settle(hold, subject, timeout, lambda hold_id, root: questions.extend(hold_id, root, ttl))

    def show(self, subject: Subject, *, timeout: float | None = None, **words: Unpack[ShowWords]) -> Answer:
        """Limits, use and holds of a subject, in `standings` and `holds`: the newest 200, before `before` if given.

        `hidden_holds` says how many older ones there are. With `only` the hold of that id alone."""
        return self._ask(questions.show(subject, words), timeout)

    def quote(self, workflow_id: str, account_id: str, *, timeout: float | None = None) -> Answer:
        """What a run of the workflow is likely to use, by its history, in `quotation`."""
        return self._ask(questions.quote(workflow_id, Subject(account_id=account_id)), timeout)

    def reserve_quote(
        self, subject: Subject, workflow_id: str, percentile: Percentile = "p95",
        *, meters: tuple[str, ...] | None = None, otherwise: Amounts | None = None, **words: Unpack[HoldWords],
    ) -> Answer:  # fmt: skip
        """Quote a workflow and reserve that for a run of it. `otherwise` is held where no run is known yet.

        `meters` are total_tokens, executions and cost_usd unless given. Raises Misconfigured without any history.
        """
        quoted = or_raise(self._ask(questions.quote(workflow_id, subject), None))
        amounts = questions.amounts_of_quote(quoted.quotation, percentile, meters, otherwise)
        return self.reserve(subject, amounts, **words)

    def _settle(
        self, hold: str | Answer, subject: Subject | None, timeout: float | None, question_of: QuestionOf
    ) -> Answer:
        hold_id = hold if isinstance(hold, str) else hold.hold_id
        answer = self._ask(question_of(hold_id, self._root(hold_id, subject)), timeout)
        if answer.status not in (Status.UNKNOWN_HOLD, Status.MOVED) or subject is None or subject.organisation_id:
            return answer
        # Its account may have an organisation that nobody has told us of; `show` follows the move.
        before = self._root(hold_id, subject)
        self.show(subject, timeout=timeout)
        after = self._root(hold_id, subject)
        return answer if after == before else self._ask(question_of(hold_id, after), timeout)

    def _root(self, hold_id: str, subject: Subject | None) -> str:
        return root_or_raise(self.asker.root_of(hold_id, subject), hold_id)

    def _ask(self, question: Question, timeout: float | None) -> Answer:
        seconds = self.settings.answer_seconds if timeout is None else timeout
        heard: Future[Outcome] = Future()
        give_up = self.asker.ask(question, seconds, heard.set_result)
        try:
            outcome = heard.result(seconds + _GRACE_SECONDS)
        except TimeoutError:
            give_up()
            raise QuotaUnavailable("the quota client's own thread does not come to answer") from None
        except BaseException:
            give_up()
            raise
        if isinstance(outcome, Answer):
            return outcome
        raise outcome

    def close(self) -> None:
        """End the thread and the connections. What is held stays until it expires. Closing twice is harmless."""
        self.asker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def root_or_raise(root: str, hold_id: str) -> str:
    """`root`, if it is known. Raises Misconfigured."""
    if not root:
        raise Misconfigured(
            f"whose hold {hold_id} is, this process does not know", mend="give the subject that it was made for"
        )
    return root


def asker_from_environment() -> Asker:
    """By KAFKA_* and TAXIMETER_TOPIC_*. Raises Misconfigured."""
    from pydantic import ValidationError
    from pydantic_settings.exceptions import SettingsError

    try:
        return Asker(KafkaSettings(), TopicSettings(), Faults())
    except (ValidationError, SettingsError):
        raise Misconfigured(
            "the environment does not describe Kafka", mend="look at the KAFKA_* and TAXIMETER_TOPIC_* variables"
        ) from None
