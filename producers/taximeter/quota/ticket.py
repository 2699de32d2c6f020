"""A ticket: the answer of a gate to one check, and what must be told when the work is done."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from taximeter.quota.grains import Amount, Grains, grains_of
from taximeter.quota.lease import Lease
from taximeter_schemas.errors import Denied


class Issuer(Protocol):
    """Who gave the ticket out and takes it back."""

    def settle(self, lease: Lease, need: Mapping[str, int], actual: Mapping[str, int] | None) -> None:
        """None: it used nothing."""


class Ticket:
    """`allowed` says whether the work may be done, `reason` why not. `degrade_to` is set where a limit asks for less.

    The events of the work must carry `transaction_id`. A ticket is settled once; what comes later does nothing. As a
    context manager it raises Denied at once, and is settled at the end of its block, by the estimate unless `done` said
    more.
    """

    __slots__ = ("_issuer", "_lease", "_need", "allowed", "degrade_to", "reason", "transaction_id")

    def __init__(
        self, issuer: Issuer | None, lease: Lease | None, need: Grains, *, allowed: bool, reason: str = ""
    ) -> None:
        self._issuer = issuer
        self._lease = lease
        self._need = need
        self.allowed = allowed
        self.reason = reason
        if lease is None:
            self.transaction_id = self.degrade_to = ""
        else:
            self.transaction_id = lease.hold_id
            self.degrade_to = lease.degrade_to

    def done(self, actual: Mapping[str, Amount] | None = None) -> None:
        """The work used `actual`; a meter that is left out, or None: what was checked for.

        Raises ValueError and TypeError for amounts that are none.
        """
        used = {} if actual is None else grains_with_zeros(actual)
        lease, self._lease = self._lease, None
        if lease is not None and self._issuer is not None:
            self._issuer.settle(lease, self._need, used)

    def cancel(self) -> None:
        """The work was not done, and used nothing."""
        lease, self._lease = self._lease, None
        if lease is not None and self._issuer is not None:
            self._issuer.settle(lease, self._need, None)

    def or_raise(self) -> Self:
        """Itself if it allows the work. Raises Denied with the reason."""
        if not self.allowed:
            raise Denied(self.reason)
        return self

    def __enter__(self) -> Self:
        return self.or_raise()

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.done()


def grains_with_zeros(actual: Mapping[str, Amount]) -> Grains:
    """As `grains_of`, and a zero that is said stays: nothing was used, which is not the same as not known."""
    return {**dict.fromkeys(actual, 0), **grains_of(actual)}
