"""A run's hold: what a run may use, held before it starts; its nodes draw from it in-process, sub-runs by inner holds.

It is kept alive while it is open. A crash leaves it to expire, counted as used until then. Leaving its block settles it
by what was used; when nobody answers then, it expires, and the block is not disturbed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypedDict

from taximeter import process
from taximeter.quota import questions
from taximeter.quota.client import QuotaClient
from taximeter.quota.denial import or_raise
from taximeter.quota.grains import Amount, Grains, amount_of, amounts_of, grains_of
from taximeter.quota.keeper import Keeper
from taximeter.quota.lease import Lease
from taximeter.quota.line import Outcome
from taximeter.quota.questions import Amounts
from taximeter.quota.ticket import Ticket, grains_with_zeros
from taximeter_schemas.errors import Denied, TaximeterError
from taximeter_schemas.money import plain
from taximeter_schemas.quota.answers import Answer, Status
from taximeter_schemas.quota.subject import Subject


class RunWords(TypedDict, total=False):
    """`ttl` and `timeout` in seconds; `meters` of the quote, and `otherwise` where no run is known yet."""

    ttl: int
    timeout: float | None
    meters: tuple[str, ...] | None
    otherwise: Amounts | None


@dataclass(frozen=True)
class Keeping:
    """What keeps a hold."""

    client: QuotaClient
    keeper: Keeper
    clock: Callable[[], float]


class RunHold:
    """Made by `QuotaGate.reserve_run`. The events of the run must carry `transaction_id`. Safe across threads."""

    def __init__(self, keeping: Keeping, subject: Subject, lease: Lease, outer: RunHold | None = None) -> None:
        self.subject = subject
        self._keeping, self._lease, self._outer = keeping, lease, outer
        self._drawn = dict(lease.amounts)  # from the outer hold
        self._life = lease.ends_at - lease.began_at
        self._epoch = process.epoch()
        self._lock = threading.RLock()
        keeping.keeper.keep(self, self.serve)

    @property
    def hold_id(self) -> str:
        """Its name at the quota service, for sub-runs in other processes to name as `parent`."""
        return self._lease.hold_id

    @property
    def transaction_id(self) -> str:
        """What the events of the run must carry."""
        return self._lease.hold_id

    @property
    def degrade_to(self) -> str:
        """Not empty where a limit is used up and says how the work is to be done then."""
        return self._lease.degrade_to

    @property
    def left(self) -> Mapping[str, Amount]:
        """What can still be drawn, by meter."""
        with self._lock:
            return amounts_of(self._lease.left)

    def check(self, amounts: Mapping[str, Amount]) -> Ticket:
        """Draw from the hold, in-process. Meters that it does not hold are not limited by it.

        Raises ValueError and TypeError for amounts that are none.
        """
        need = self._held_of(grains_of(amounts))
        with self._lock:
            if self._lease.retired or not self._lease.has(need):
                return Ticket(self, None, need, allowed=False, reason=self._short(need))
            self._lease.draw(need, self._keeping.clock())
            return Ticket(self, self._lease, need, allowed=True)

    def _held_of(self, need: Grains) -> Grains:
        return {meter: amount for meter, amount in need.items() if meter in self._lease.amounts}

    def _short(self, need: Grains) -> str:
        if self._lease.retired:
            return f"the run's hold {self.hold_id} is closed"
        meter = next(meter for meter, amount in need.items() if self._lease.left.get(meter, 0) < amount)
        left, held = (max(0, grains.get(meter, 0)) for grains in (self._lease.left, self._lease.amounts))
        asked, has, all_of_it = (plain(amount_of(meter, grains)) for grains in (need[meter], left, held))
        return f"the run's hold {self.hold_id} has {has} of {all_of_it} {meter} left, and {asked} were asked for"

    def settle(self, lease: Lease, need: Mapping[str, int], actual: Mapping[str, int] | None) -> None:
        """A ticket, or an inner hold, comes back. A forked child has no part in its parent's holds."""
        if self._epoch == process.epoch():
            with self._lock:
                if actual is None:
                    lease.give_back(need)
                else:
                    lease.settle(need, actual)

    def reserve(self, amounts: Amounts, *, ttl: int = questions.TTL_SECONDS, timeout: float | None = None) -> RunHold:
        """An inner hold, for a sub-run or a fan-out, drawn from this one; what it does not use returns to this one.

        Raises Denied where this one has not so much left, QuotaUnavailable when nobody answers.
        """
        need = grains_of(amounts)
        with self._lock:
            if self._lease.retired or not self._lease.has(need):
                raise Denied(self._short(need))
            self._lease.draw(need, self._keeping.clock())
        client, began = self._keeping.client, self._keeping.clock()
        try:
            answer = client.reserve(self.subject, amounts, parent=self.hold_id, ttl=ttl, timeout=timeout)
            or_raise(answer)
        except BaseException:
            self.settle(self._lease, need, None)
            raise
        lease = Lease(answer.hold_id, self._lease.root, need, began, float(ttl))
        lease.degrade_to = self.degrade_to
        return RunHold(self._keeping, self.subject, lease, self)

    def confirm(self, actual: Amounts | None = None, *, timeout: float | None = None) -> Answer:
        """The run is over and used `actual`; left out, it is what its tickets and inner holds used.

        Raises QuotaUnavailable when nobody answers: it may be confirmed again.
        """
        used = self._close(actual)
        return self._keeping.client.confirm(self.hold_id, amounts_of(used), subject=self.subject, timeout=timeout)

    def release(self, *, timeout: float | None = None) -> Answer:
        """The run does not take place: all that nobody used returns. Raises QuotaUnavailable when nobody answers."""
        return self.confirm(timeout=timeout)

    def _close(self, actual: Amounts | None) -> Grains:
        with self._lock:
            first, self._lease.retired = not self._lease.retired, True
            used = self._lease.used if actual is None else grains_with_zeros(actual)
        if first and self._outer is not None:
            self._outer.settle(self._outer._lease, self._drawn, used)  # noqa: SLF001 - of the same class
        return used

    def serve(self, now: float) -> bool:
        """Keep it alive, for the keeper. False once it is closed."""
        lease = self._lease
        if lease.retired:
            return False
        if now >= lease.renew_at:
            lease.renew_at = now + self._life / 8
            question = questions.extend(lease.hold_id, lease.root, max(1, int(self._life)))
            self._keeping.client.asker.ask(question, self._keeping.client.settings.answer_seconds, self._extended(now))
        return True

    def _extended(self, asked_at: float) -> Callable[[Outcome], None]:
        def then(outcome: Outcome) -> None:
            if isinstance(outcome, Answer) and outcome.status is Status.EXTENDED:
                with self._lock:
                    self._lease.extended(asked_at, self._life)

        return then

    def _leave(self) -> None:
        if self._epoch != process.epoch() or self._lease.retired:
            return
        try:
            self.confirm()
        except TaximeterError as error:
            self._keeping.client.asker.faults.say("quota.run", f"a run's hold is left to expire: {error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        import asyncio

        await asyncio.to_thread(self._leave)
