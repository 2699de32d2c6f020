"""The async forms: no thread for a call, and the event loop never waits for Kafka.

A task that is cancelled while it waits for a reservation has it released.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from taximeter.quota import questions
from taximeter.quota.asker import Asker, Question
from taximeter.quota.client import QuestionOf, asker_from_environment, root_or_raise
from taximeter.quota.denial import or_raise
from taximeter.quota.grains import Amount, grains_of
from taximeter.quota.line import Outcome
from taximeter.quota.questions import Amounts, HoldWords, Percentile, ReserveWords, ShowWords
from taximeter.quota.run_hold import RunHold, RunWords
from taximeter.quota.settings import QuotaSettings
from taximeter.quota.ticket import Ticket
from taximeter_schemas.quota.answers import Answer, Quotation, Status
from taximeter_schemas.quota.subject import Subject

if TYPE_CHECKING:
    from taximeter.quota.gate import GateCounters, QuotaGate


class AsyncQuotaClient:
    """As `QuotaClient`, with the same names as coroutines. May be used from several event loops."""

    def __init__(self, asker: Asker, settings: QuotaSettings | None = None) -> None:
        self.asker = asker
        self.settings = settings or QuotaSettings.from_environment()

    @classmethod
    def from_environment(cls) -> Self:
        """See QuotaClient."""
        return cls(asker_from_environment(), QuotaSettings.from_environment())

    async def reserve(self, subject: Subject, amounts: Amounts, **words: Unpack[ReserveWords]) -> Answer:
        """See QuotaClient."""
        return await self._ask(questions.reserve(subject, amounts, words), words.get("timeout"))

    async def check(self, subject: Subject, amounts: Amounts, *, timeout: float | None = None) -> Answer:  # noqa: ASYNC109 - the wait is the service's too
        """See QuotaClient."""
        return await self.reserve(subject, amounts, dry_run=True, timeout=timeout)

    async def confirm(
        self, hold: str | Answer, actual: Amounts, *, subject: Subject | None = None, timeout: float | None = None  # noqa: ASYNC109 - as above
    ) -> Answer:  # fmt: skip
        """See QuotaClient."""
        return await self._settle(
            hold, subject, timeout, lambda hold_id, root: questions.confirm(hold_id, root, actual)
        )

    async def release(
        self, hold: str | Answer, *, subject: Subject | None = None, timeout: float | None = None  # noqa: ASYNC109 - as above
    ) -> Answer:  # fmt: skip
        """See QuotaClient."""
        return await self._settle(hold, subject, timeout, questions.release)

    async def extend(
        self, hold: str | Answer, ttl: int, *, subject: Subject | None = None, timeout: float | None = None  # noqa: ASYNC109 - as above
    ) -> Answer:  # fmt: skip
        """See QuotaClient."""
        return await self._settle(hold, subject, timeout, lambda hold_id, root: questions.extend(hold_id, root, ttl))

    async def show(self, subject: Subject, *, timeout: float | None = None, **words: Unpack[ShowWords]) -> Answer:  # noqa: ASYNC109 - as above
        """See QuotaClient."""
        return await self._ask(questions.show(subject, words), timeout)

    async def quote(self, workflow_id: str, account_id: str, *, timeout: float | None = None) -> Answer:  # noqa: ASYNC109 - as above
        """See QuotaClient."""
        return await self._ask(questions.quote(workflow_id, Subject(account_id=account_id)), timeout)

    async def reserve_quote(
        self, subject: Subject, workflow_id: str, percentile: Percentile = "p95",
        *, meters: tuple[str, ...] | None = None, otherwise: Amounts | None = None, **words: Unpack[HoldWords],
    ) -> Answer:  # fmt: skip
        """See QuotaClient."""
        quoted = or_raise(await self._ask(questions.quote(workflow_id, subject), None))
        amounts = questions.amounts_of_quote(quoted.quotation, percentile, meters, otherwise)
        return await self.reserve(subject, amounts, **words)

    async def _settle(
        self, hold: str | Answer, subject: Subject | None, seconds: float | None, question_of: QuestionOf
    ) -> Answer:
        hold_id = hold if isinstance(hold, str) else hold.hold_id
        before = root_or_raise(self.asker.root_of(hold_id, subject), hold_id)
        answer = await self._ask(question_of(hold_id, before), seconds)
        if answer.status not in (Status.UNKNOWN_HOLD, Status.MOVED) or subject is None or subject.organisation_id:
            return answer
        # Its account may have an organisation that nobody has told us of; `show` follows the move.
        await self.show(subject, timeout=seconds)
        after = self.asker.root_of(hold_id, subject)
        return answer if after == before else await self._ask(question_of(hold_id, after), seconds)

    async def _ask(self, question: Question, timeout: float | None) -> Answer:  # noqa: ASYNC109 - as above
        if not self.asker.is_open:
            await asyncio.to_thread(self.asker.open)
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[Outcome] = loop.create_future()

        def set_here(outcome: Outcome) -> None:
            if not heard.done():
                heard.set_result(outcome)

        def then(outcome: Outcome) -> None:
            # The loop may be closed by now; then nobody waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(set_here, outcome)

        seconds = self.settings.answer_seconds if timeout is None else timeout
        give_up = self.asker.ask(question, seconds, then)
        try:
            outcome = await heard
        except asyncio.CancelledError:
            give_up()
            raise
        if isinstance(outcome, Answer):
            return outcome
        raise outcome

    async def close(self) -> None:
        """See QuotaClient."""
        await asyncio.to_thread(self.asker.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


async def check(gate: QuotaGate, subject: Subject, amounts: Mapping[str, Amount]) -> Ticket:
    """As `gate.check`; where that would wait, the task waits and the loop goes on."""
    ticket = gate.check_now(subject, amounts)
    return ticket or await _wait(gate, subject, amounts, gate.settings.first_lease_seconds)


async def _wait(gate: QuotaGate, subject: Subject, amounts: Mapping[str, Amount], patience: float) -> Ticket:
    need = grains_of(amounts)
    began = gate.clock()
    while True:
        ticket = gate.check_now(subject, amounts)
        if ticket is not None:
            return ticket
        purse, now = gate.purse_of(subject), gate.clock()
        left = began + patience - now
        if left <= 0:
            return purse.by_policy(need, now)
        answered = purse.want(need, now)
        if answered is not None:
            # Others wait for the same answer: it is not cancelled with this task.
            await asyncio.wait([asyncio.wrap_future(answered)], timeout=left)


class AsyncQuotaGate:
    """As `QuotaGate`, with the same names as coroutines. `metered_node` and `run` of the gate itself are async too."""

    def __init__(self, gate: QuotaGate) -> None:
        self.gate = gate

    @classmethod
    def from_environment(cls) -> Self:
        """See QuotaGate."""
        from taximeter.quota.gate import QuotaGate

        return cls(QuotaGate.from_environment())

    async def check(self, subject: Subject, amounts: Mapping[str, Amount]) -> Ticket:
        """See QuotaGate."""
        return await check(self.gate, subject, amounts)

    async def open(self, subject: Subject, amounts: Mapping[str, Amount], *, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - as above
        """See QuotaGate."""
        ticket = await _wait(
            self.gate, subject, amounts, self.gate.settings.first_lease_seconds if timeout is None else timeout
        )
        ticket.cancel()
        return ticket.allowed and bool(ticket.transaction_id)

    async def quote(self, workflow_id: str, account_id: str, *, timeout: float | None = None) -> Quotation:  # noqa: ASYNC109 - as above
        """See QuotaGate."""
        return await asyncio.to_thread(self.gate.quote, workflow_id, account_id, timeout=timeout)

    async def reserve_run(
        self, subject: Subject, amounts: Mapping[str, Amount] | None = None, *, workflow: str = "",
        percentile: Percentile = "p95", **words: Unpack[RunWords],
    ) -> RunHold:  # fmt: skip
        """See QuotaGate."""
        gate, ttl = self.gate, words.get("ttl", questions.TTL_SECONDS)
        client, began = AsyncQuotaClient(gate.client.asker, gate.settings), gate.clock()
        if amounts is None:
            answer = await client.reserve_quote(
                subject, workflow, percentile, meters=words.get("meters"), otherwise=words.get("otherwise"), ttl=ttl
            )
        else:
            answer = await client.reserve(subject, amounts, ttl=ttl, timeout=words.get("timeout"))
        return gate.held(subject, answer, began, ttl)

    def counters(self) -> GateCounters:
        """See QuotaGate."""
        return self.gate.counters()

    async def close(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - as above
        """See QuotaGate."""
        return await asyncio.to_thread(self.gate.close, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
