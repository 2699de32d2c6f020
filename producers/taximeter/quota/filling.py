"""Filling purses: leases are asked for, renewed while the old one is still drawn from, kept alive, and given back.

A renewal that is denied leaves the old lease as it is, and keeps it alive while something is left. When nobody answers,
the service is asked again after a pause; what a lost answer may have reserved is released. A retired lease is settled
by what was used once its last ticket is back; the settling is repeated until it is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from taximeter.quota import questions
from taximeter.quota.asker import Asker, Question
from taximeter.quota.denial import sentence
from taximeter.quota.grains import Grains, amounts_of, grains_of
from taximeter.quota.lease import Lease, Sizing
from taximeter.quota.line import Outcome
from taximeter.quota.purse import Denial, Purse
from taximeter.quota.settings import QuotaSettings
from taximeter_schemas.errors import Retryable, TaximeterError
from taximeter_schemas.quota.answers import Answer, Status


class Filler:
    """Serves purses, on the keeper's thread; answers come on the line's."""

    def __init__(
        self, asker: Asker, settings: QuotaSettings, clock: Callable[[], float], stir: Callable[[Purse], None]
    ) -> None:
        self._asker, self._settings, self._clock, self._stir = asker, settings, clock, stir
        self._life = float(settings.lease_seconds)
        self._sizing = Sizing(self._life, settings.lease_checks, grains_of(settings.most))

    def serve(self, purse: Purse, now: float) -> bool:
        """What is due of a purse. False: nothing is left of it."""
        ask: tuple[Grains, Grains] | None = None
        with purse.lock:
            self._look_at_lease(purse, now)
            if purse.asking is not None and not purse.in_flight:
                ask = self._wanted(purse, now)
            retired = list(purse.retired)
        # What returns is sent before what is asked for: commands of one subject are decided in their order.
        for lease in retired:
            self._look_after(purse, lease, now)
        if ask is not None:
            self._ask(purse, *ask)
        with purse.lock:
            busy = purse.lease or purse.retired or purse.asking or purse.wish or purse.denial
            return bool(busy)

    def _look_at_lease(self, purse: Purse, now: float) -> None:
        lease = purse.lease
        if lease is not None:
            idle = now - lease.drawn_at >= self._settings.idle_seconds and not lease.opened
            if now >= lease.ends_at or idle:
                purse.retire()
            elif now >= lease.renew_at and now >= purse.retry_at:
                lease.asked = True
            if lease.asked and not lease.retired and purse.asking is None:
                purse.asking, purse.asked_at = Future(), now
        if purse.asking is None and purse.wish and now >= purse.retry_at:
            purse.asking, purse.asked_at = Future(), now
        if purse.denial is not None and now >= purse.denial.until:
            purse.denial = None

    def _wanted(self, purse: Purse, now: float) -> tuple[Grains, Grains]:
        purse.in_flight = True
        last = purse.lease or purse.last
        least = dict(purse.wish or (last.largest if last is not None else {}))
        if purse.wish is None and last is not None and not least:
            # Opened ahead, and not drawn from yet.
            return dict(last.amounts), least
        return self._sizing.wanted(least, last, now), least

    def _ask(self, purse: Purse, wanted: Grains, least: Grains) -> None:
        sent_at = self._clock()
        words: questions.ReserveWords = {
            "kind": "lease",
            "at_least": amounts_of(least),
            "ttl": self._settings.lease_seconds,
        }
        question = questions.reserve(purse.subject, amounts_of(wanted), words)
        self._send(question, partial(self._answered, purse, least, sent_at))

    def _send(self, question: Question, then: Callable[[Outcome], None]) -> None:
        try:
            self._asker.ask(question, self._settings.answer_seconds, then)
        except TaximeterError as error:
            then(error)
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it was
            then(Retryable(f"the question could not be asked ({type(error).__name__}: {error})"))

    def _answered(self, purse: Purse, least: Grains, sent_at: float, outcome: Outcome) -> None:
        now = self._clock()
        with purse.lock:
            purse.in_flight = False
            if self._must_return_first(purse, outcome):
                purse.retire()
                self._stir(purse)
                return
            waiting, purse.asking = purse.asking, None
            if isinstance(outcome, Answer) and outcome.status is not Status.UNAVAILABLE:
                purse.silent_since = None
                purse.wish = None
                purse.on_outage = outcome.on_outage
                if outcome.is_granted:
                    self._granted(purse, outcome, sent_at)
                else:
                    self._denied(purse, outcome, least, now)
            else:
                self._silent(purse, outcome, now)
        if waiting is not None:
            waiting.set_result(None)
        self._stir(purse)

    def _must_return_first(self, purse: Purse, outcome: Outcome) -> bool:
        """Whether somebody waits for more than there is, while this process itself holds a part of it unused."""
        denied = isinstance(outcome, Answer) and outcome.status is Status.DENIED
        lease = purse.lease
        return denied and bool(purse.wish) and lease is not None and not lease.opened

    def _granted(self, purse: Purse, answer: Answer, sent_at: float) -> None:
        purse.retire()
        root = self._asker.root_of(answer.hold_id, purse.subject)
        lease = Lease(answer.hold_id, root, grains_of(answer.amounts), sent_at, self._life)
        lease.degrade_to = answer.degrade_to
        purse.lease = purse.last = lease
        purse.denial = None
        purse.retry_at = 0.0
        purse.tally.renewals += 1

    def _denied(self, purse: Purse, answer: Answer, least: Grains, now: float) -> None:
        purse.denial = Denial(least, sentence(answer), now + self._settings.denied_seconds)
        purse.retry_at = now + self._settings.denied_seconds
        lease = purse.lease
        if lease is not None:
            lease.asked = False
            if now >= lease.renew_at:
                self._extend(purse, lease, now)

    def _silent(self, purse: Purse, outcome: Outcome, now: float) -> None:
        purse.silence = sentence(outcome) if isinstance(outcome, Answer) else str(outcome)
        purse.wish = None
        if purse.silent_since is None:
            purse.silent_since = now
            self._asker.faults.say("quota.silence", f"leases go on without the quota service: {purse.silence}")
        purse.retry_at = now + self._settings.retry_seconds
        if purse.lease is not None:
            purse.lease.asked = False

    def _extend(self, purse: Purse, lease: Lease, now: float) -> None:
        lease.renew_at = now + self._life / 4

        def extended(outcome: Outcome) -> None:
            if isinstance(outcome, Answer) and outcome.status is Status.EXTENDED:
                with purse.lock:
                    lease.extended(now, self._life)

        self._send(questions.extend(lease.hold_id, lease.root, self._settings.lease_seconds), extended)

    def _look_after(self, purse: Purse, lease: Lease, now: float) -> None:
        with purse.lock:
            late = now - lease.began_at > self._settings.longest_work_seconds
            if lease.opened > 0 and not late and not lease.settled:
                if now >= lease.renew_at:
                    self._extend(purse, lease, now)
                return
            if lease.settled and now < lease.renew_at:
                return
            lease.settled = True
            lease.renew_at = now + self._settings.answer_seconds + self._settings.retry_seconds
        self.settle(purse, lease)

    def settle(self, purse: Purse, lease: Lease) -> Future[bool]:
        """Confirm what was used of a lease; the rest returns. Whether that was answered."""
        answered: Future[bool] = Future()

        def settled(outcome: Outcome) -> None:
            too_late = self._clock() - lease.began_at > 2 * self._settings.longest_work_seconds
            if isinstance(outcome, Answer) or too_late:
                with purse.lock:
                    if lease in purse.retired:
                        purse.retired.remove(lease)
            answered.set_result(isinstance(outcome, Answer))

        self._send(questions.confirm(lease.hold_id, lease.root, amounts_of(lease.used)), settled)
        return answered

    def empty(self, purse: Purse) -> list[Future[bool]]:
        """Settle all leases, open tickets by their estimates. At the end: nobody draws any more."""
        with purse.lock:
            purse.retire()
            leases = list(purse.retired)
            for lease in leases:
                lease.settled = True
        return [self.settle(purse, lease) for lease in leases]
