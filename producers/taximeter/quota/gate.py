"""The gate: asks before work is done, and answers in-process from small leases.

Through an outage of the quota service it works for the life of its leases; afterwards the policy of the limits (open or
closed) holds, and is counted. A crash leaves its leases to expire, counted as used until then. A forked child begins
without leases. `close` settles what was used and gives the rest back; so does the interpreter's exit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Self, Unpack

from taximeter.quota import living, questions
from taximeter.quota.client import QuotaClient
from taximeter.quota.decorators import Decorators
from taximeter.quota.denial import or_raise
from taximeter.quota.filling import Filler
from taximeter.quota.grains import Amount, Grains, amounts_of, grains_of
from taximeter.quota.keeper import Keeper
from taximeter.quota.lease import Lease
from taximeter.quota.purse import Purse
from taximeter.quota.questions import Percentile
from taximeter.quota.run_hold import Keeping, RunHold, RunWords
from taximeter.quota.ticket import Ticket
from taximeter_schemas.quota.answers import Answer, Quotation
from taximeter_schemas.quota.subject import Subject


def boot_clock() -> float:
    """Seconds that go on while the machine sleeps, as they do at the quota service."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


CLOCK: Callable[[], float] = boot_clock if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic


@dataclass(frozen=True)
class GateCounters:
    """Numbers since the process, or its fork, began. `leased` is what its leases hold now, by meter: the most that can
    be used of them without another question, and so this process's part in the bound on overshoot.
    """

    checks: int
    allowed: int
    denied: int
    opened_by_outage: int
    closed_by_outage: int
    leases: int  # leases that were granted, renewals included
    waited: int  # checks that waited for a lease
    silent: int  # subjects for which nobody answers now
    leased: Mapping[str, Decimal]


class QuotaGate(Decorators):
    """Safe across threads. Made once per process."""

    def __init__(self, client: QuotaClient, *, clock: Callable[[], float] = CLOCK) -> None:
        """The client is closed with the gate. `clock` gives seconds and never goes back."""
        self.client = client
        self.settings = client.settings
        self._clock = clock
        self._begin()
        living.is_gate(self)

    def _begin(self) -> None:
        asker = self.client.asker
        self._purses: dict[Subject, Purse] = {}
        self._past = [0, 0, 0, 0, 0]
        self._waited = 0
        self._closed = False
        self.keeper = Keeper(self._clock, asker.faults)
        self._filler = Filler(asker, self.settings, self._clock, self.keeper.stir)

    @classmethod
    def from_environment(cls) -> Self:
        """By KAFKA_*, TAXIMETER_TOPIC_* and TAXIMETER_QUOTA_*. Kafka need not be there yet. Raises Misconfigured."""
        return cls(QuotaClient.from_environment())

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds that never go back."""
        return self._clock

    def check(self, subject: Subject, amounts: Mapping[str, Amount]) -> Ticket:
        """Whether `subject` may use `amounts` now.

        In-process while there is a lease. Without one with room it waits for one, `first_lease_seconds` at most; then
        the policy for outages holds. Raises ValueError and TypeError for amounts that are none.
        """
        need = grains_of(amounts)
        purse = self._purses.get(subject)
        if purse is not None:
            ticket = purse.check(need, self._clock())
            if ticket is not None:
                return ticket
        return self._wait(purse or self.purse_of(subject), need, self.settings.first_lease_seconds)

    def check_now(self, subject: Subject, amounts: Mapping[str, Amount]) -> Ticket | None:
        """As `check`, and None where that would wait."""
        need, purse, now = grains_of(amounts), self.purse_of(subject), self._clock()
        return purse.check(need, now) or self._known(purse, need, now)

    def _known(self, purse: Purse, need: Grains, now: float) -> Ticket | None:
        if self._closed:
            return purse.by_policy(need, now)
        return purse.known(need, now, self.settings.first_lease_seconds)

    def _wait(self, purse: Purse, need: Grains, patience: float) -> Ticket:
        began = self._clock()
        waited = False
        while True:
            now = self._clock()
            ticket = purse.check(need, now) or self._known(purse, need, now)
            if ticket is not None:
                return ticket
            left = began + patience - now
            if left <= 0:
                return purse.by_policy(need, now)
            self._waited += not waited
            waited = True
            answered = purse.want(need, now)
            if answered is None:
                purse = self.purse_of(purse.subject)
            else:
                with suppress(TimeoutError):
                    answered.result(left)

    def open(self, subject: Subject, amounts: Mapping[str, Amount], *, timeout: float | None = None) -> bool:
        """Get a lease ahead, for checks of about `amounts`, so that the first need not wait: whether there is one."""
        need, purse = grains_of(amounts), self.purse_of(subject)
        patience = self.settings.first_lease_seconds if timeout is None else timeout
        ticket = self._wait(purse, need, patience)
        ticket.cancel()
        return ticket.allowed and bool(ticket.transaction_id)

    def purse_of(self, subject: Subject) -> Purse:
        """The leases of a subject; a new purse if need be."""
        purse = self._purses.get(subject)
        if purse is None:
            fresh = Purse(subject, self.settings.on_outage, self.keeper.stir)
            purse = self._purses.setdefault(subject, fresh)
            if purse is fresh:
                self.keeper.keep(purse, lambda now: self._serve(fresh, now))
        return purse

    def _serve(self, purse: Purse, now: float) -> bool:
        if self._filler.serve(purse, now) or not purse.abandoned(now, self.settings.idle_seconds):
            return True
        if self._purses.get(purse.subject) is purse:
            del self._purses[purse.subject]
            self._past = [a + b for a, b in zip(self._past, _numbers(purse), strict=True)]
        return False

    def quote(self, workflow_id: str, account_id: str, *, timeout: float | None = None) -> Quotation:
        """What a run of the workflow is likely to use, p50 and p95, by its history. Raises as the client does."""
        answer = or_raise(self.client.quote(workflow_id, account_id, timeout=timeout))
        return answer.quotation or Quotation(workflow_id=workflow_id, runs=0, lacking=0, since=0, p50={}, p95={})

    def reserve_run(
        self, subject: Subject, amounts: Mapping[str, Amount] | None = None, *, workflow: str = "",
        percentile: Percentile = "p95", **words: Unpack[RunWords],
    ) -> RunHold:  # fmt: skip
        """Hold what a run is to use: `amounts`, or what runs of `workflow` use by their history.

        Its nodes draw from it in-process, its sub-runs by inner holds. Raises Denied with the reason before anything is
        spent, QuotaUnavailable when nobody answers, Misconfigured without any history.
        """
        ttl = words.get("ttl", questions.TTL_SECONDS)
        began = self._clock()
        if amounts is None:
            answer = self.client.reserve_quote(
                subject, workflow, percentile, meters=words.get("meters"), otherwise=words.get("otherwise"), ttl=ttl
            )
        else:
            answer = self.client.reserve(subject, amounts, ttl=ttl, timeout=words.get("timeout"))
        return self.held(subject, answer, began, ttl)

    def held(self, subject: Subject, answer: Answer, began_at: float, ttl: int) -> RunHold:
        """The hold of a granted answer, kept alive from now on. Raises what `or_raise` raises."""
        root = self.client.asker.root_of(answer.hold_id, subject)
        lease = Lease(answer.hold_id, root, grains_of(or_raise(answer).amounts), began_at, float(ttl))
        lease.degrade_to = answer.degrade_to
        return RunHold(Keeping(self.client, self.keeper, self._clock), subject, lease)

    def counters(self) -> GateCounters:
        """What was counted so far in this process."""
        purses = list(self._purses.values())
        allowed, denied, opened, shut, leases = (
            sum(column) for column in zip(self._past, *map(_numbers, purses), strict=True)
        )
        leased: Grains = {}
        for purse in purses:
            for meter, amount in purse.leased().items():
                leased[meter] = leased.get(meter, 0) + amount
        return GateCounters(
            checks=allowed + denied + opened + shut,
            allowed=allowed,
            denied=denied,
            opened_by_outage=opened,
            closed_by_outage=shut,
            leases=leases,
            waited=self._waited,
            silent=sum(purse.silent_since is not None for purse in purses),
            leased=amounts_of(leased),
        )

    def close(self, timeout: float | None = None) -> bool:
        """Settle all leases by what was used and end everything: whether all settlings were answered in time.

        Later checks are answered by the policy for outages. Closing twice is harmless.
        """
        if self._closed:
            return True
        self._closed = True
        self.keeper.close()
        until = time.monotonic() + (self.settings.close_seconds if timeout is None else timeout)
        settling = [one for purse in list(self._purses.values()) for one in self._filler.empty(purse)]
        wait(settling, max(0.0, until - time.monotonic()))
        self.client.close()
        return all(one.done() and one.result() for one in settling)

    def close_at_exit(self) -> None:
        """As `close`."""
        self.close()

    def begin_in_child(self) -> None:
        """The leases are the parent's; the child asks for its own."""
        closed = self._closed
        self._begin()
        self._closed = closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _numbers(purse: Purse) -> tuple[int, int, int, int, int]:
    tally = purse.tally
    return tally.allowed, tally.denied, tally.opened_by_outage, tally.closed_by_outage, tally.renewals
