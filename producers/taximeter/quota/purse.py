"""A purse: all leases of one subject, and what is known when there is none: a denial, or that nobody answers.

A check is answered here under one short lock, without I/O. What has to be asked is left for the gate's keeper. Safe
across threads, and from signal handlers: the lock may be entered again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from taximeter import process
from taximeter.quota.grains import Grains
from taximeter.quota.lease import Lease
from taximeter.quota.ticket import Ticket
from taximeter_schemas.quota.limits import OnOutage
from taximeter_schemas.quota.subject import Subject

_FORGET_SECONDS = 10.0
_NAPS = 50
_NAP_SECONDS = 1e-6


@dataclass(frozen=True, slots=True)
class Denial:
    """`need` had no room; asked again at `until`."""

    need: Grains
    reason: str
    until: float

    def covers(self, need: Mapping[str, int]) -> bool:
        """Whether what is asked now is no less than what was denied."""
        return all(need.get(meter, 0) >= amount for meter, amount in self.need.items())


@dataclass(slots=True)
class Tally:
    """What a purse counted; only under its lock."""

    allowed: int = 0
    denied: int = 0
    opened_by_outage: int = 0
    closed_by_outage: int = 0
    renewals: int = 0


class Purse:
    """Drawn from by checks, filled by the keeper."""

    def __init__(self, subject: Subject, on_outage: OnOutage, stir: Callable[[Purse], None]) -> None:
        """`stir` wakes the keeper; it is called under the lock."""
        self.subject = subject
        self.on_outage = on_outage
        self.epoch = process.epoch()
        self.lock = threading.RLock()
        self.lease: Lease | None = None
        self.last: Lease | None = None  # the latest there was: sizes are taken from it, and its id in an outage
        self.retired: list[Lease] = []
        self.denial: Denial | None = None
        self.wish: Grains | None = None  # what somebody waits for, or what a renewal must give at least
        self.asking: Future[None] | None = None
        self.asked_at = 0.0
        self.in_flight = False
        self.silent_since: float | None = None
        self.silence = ""
        self.retry_at = 0.0
        self.touched_at = 0.0
        self.gone = False
        self.tally = Tally()
        self._stir = stir

    def check(self, need: Grains, now: float) -> Ticket | None:
        """The answer from the lease; None where there is none that has room."""
        lock = self.lock
        if not lock.acquire(blocking=False):
            _await(lock.acquire)
        try:
            lease = self.lease
            if lease is None or now >= lease.ends_at or not lease.has(need):
                return None
            if (lease.draw(need, now) or now >= lease.renew_at) and not lease.asked and now >= self.retry_at:
                lease.asked = True
                self._stir(self)
            self.tally.allowed += 1
        finally:
            lock.release()
        return Ticket(self, lease, need, allowed=True)

    def known(self, need: Grains, now: float, patience: float) -> Ticket | None:
        """The answer without a lease: a remembered denial, or the policy for outages; None where one must wait."""
        with self.lock:
            self.touched_at = now
            denial = self.denial
            if denial is not None:
                if now < denial.until and denial.covers(need):
                    self.tally.denied += 1
                    return Ticket(self, None, need, allowed=False, reason=denial.reason)
                if now >= denial.until:
                    self.denial = None
            if self.silent_since is not None and self.asking is None and now >= self.retry_at + _FORGET_SECONDS:
                # Nobody has asked for long: what was silent then may answer now.
                self.silent_since = None
            if self.silent_since is not None or (self.asking is not None and now - self.asked_at >= patience):
                return self._by_policy(need, now)
            return None

    def by_policy(self, need: Grains, now: float) -> Ticket:
        """The answer when nobody answers."""
        with self.lock:
            return self._by_policy(need, now)

    def _by_policy(self, need: Grains, now: float) -> Ticket:
        self.wish = self.wish or need
        said = self.silence or "the quota service has not answered yet"
        if self.on_outage is OnOutage.OPEN:
            self.tally.opened_by_outage += 1
            lease = self.lease or self.last
            if lease is not None and not lease.settled:
                # Overdrawn: what is used meanwhile is told, and counted, as soon as somebody listens.
                lease.draw(need, now)
            else:
                lease = None
            return Ticket(self, lease, need, allowed=True, reason=f"allowed without an answer, fail open: {said}")
        self.tally.closed_by_outage += 1
        return Ticket(self, None, need, allowed=False, reason=f"denied without an answer, fail closed: {said}")

    def want(self, need: Grains, now: float) -> Future[None] | None:
        """Ask for a lease with room for `need`: done when there is an answer. None: it is not served any more."""
        with self.lock:
            if self.gone:
                return None
            self.touched_at = now
            wish = self.wish or {}
            self.wish = {meter: max(wish.get(meter, 0), need.get(meter, 0)) for meter in {*wish, *need}}
            if self.lease is not None and now >= self.lease.ends_at:
                self.retire()
            if self.asking is None:
                self.asking = Future()
                self.asked_at = now
            self._stir(self)
            return self.asking

    def retire(self) -> None:
        """No more is drawn from the lease. Under the lock."""
        lease, self.lease = self.lease, None
        if lease is not None:
            lease.retired = True
            self.retired.append(lease)

    def settle(self, lease: Lease, need: Mapping[str, int], actual: Mapping[str, int] | None) -> None:
        """A ticket comes back. A forked child has no part in its parent's leases."""
        if self.epoch != process.epoch():
            return
        lock = self.lock
        if not lock.acquire(blocking=False):
            _await(lock.acquire)
        try:
            if actual is None:
                lease.give_back(need)
            else:
                lease.settle(need, actual)
            if lease.retired and not lease.opened and not lease.settled:
                self._stir(self)
        finally:
            lock.release()

    def abandoned(self, now: float, idle_seconds: float) -> bool:
        """Whether nobody has come for so long; then nobody may come any more."""
        with self.lock:
            latest = max(self.touched_at, self.last.drawn_at if self.last else 0.0)
            self.gone = not (self.lease or self.retired or self.asking) and now - latest >= idle_seconds
            return self.gone

    def leased(self) -> Grains:
        """What its leases hold: of an open one all of it, of a retired one too, until it is settled."""
        with self.lock:
            out: Grains = {}
            for lease in (*self.retired, *([self.lease] if self.lease else ())):
                if not lease.settled:
                    for meter, amount in lease.amounts.items():
                        out[meter] = out.get(meter, 0) + amount
            return out


def _await(acquire: Callable[..., bool]) -> None:
    """Take a lock whose holder was interrupted. Whoever blocks on a lock is given it before it has the interpreter, so
    that the others, who have it, queue up in their turn; a short sleep instead lets the holder finish.
    """
    for _ in range(_NAPS):
        time.sleep(_NAP_SECONDS)
        if acquire(blocking=False):
            return
    acquire()
