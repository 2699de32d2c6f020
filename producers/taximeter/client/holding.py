"""A reservation as a block: held at its beginning, confirmed at its end by what was used, released by an error.

    with client.reservations.hold({"total_tokens": 5_000}) as hold:
        answer = ask_the_model(..., transaction_id=hold.transaction_id)
        hold.used({"total_tokens": answer.total_tokens})

A process that dies within the block leaves the reservation to expire. An error of the block is never hidden by one of
the release: what could not be released is said in a note on it, and expires.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, overload

from taximeter.client.call import Call
from taximeter.client.calls import quotas
from taximeter.client.problems import ApiProblem
from taximeter.client.routes import Resource
from taximeter.client.transport import AsyncTransport, Transport

if TYPE_CHECKING:
    from types import TracebackType

    from taximeter.client.answers.quota import Reservation, Settled
    from taximeter.client.asked import Amounts


class _Held:
    """What is held, and what was used of it."""

    reservation: Reservation

    def __init__(self, opening: Call[Reservation]) -> None:
        self._opening = opening
        self._used: dict[str, Decimal] = {}

    @property
    def transaction_id(self) -> str:
        """What the events of the work must carry."""
        return self.reservation.transaction_id

    @property
    def degrade_to(self) -> str:
        """Not empty: do the work in this lesser way."""
        return self.reservation.degrade_to

    def used(self, amounts: Amounts) -> None:
        """The work used so much; several calls add up. A meter that is never named counts as wholly used."""
        for meter, amount in amounts.items():
            self._used[meter] = self._used.get(meter, Decimal(0)) + amount

    def _closing(self, error: BaseException | None) -> Call[Settled]:
        account, name = self.reservation.account_id, self.reservation.reservation_id
        if error is not None:
            return quotas.release(name, account_id=account)
        return quotas.confirm(name, self._used, account_id=account)

    def _not_released(self, error: BaseException, problem: ApiProblem) -> None:
        name, ends = self.reservation.reservation_id, self.reservation.expires_at
        error.add_note(f"reservation {name} was not released ({problem}); it expires at {ends}")


class Hold(_Held):
    """The block."""

    def __init__(self, transport: Transport, opening: Call[Reservation]) -> None:
        super().__init__(opening)
        self._transport = transport

    def __enter__(self) -> Self:
        self.reservation = self._transport.ask(self._opening)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._transport.ask(self._closing(error))
        except ApiProblem as problem:
            if error is None:
                raise
            self._not_released(error, problem)


class AsyncHold(_Held):
    """The same for `async with`."""

    def __init__(self, transport: AsyncTransport, opening: Call[Reservation]) -> None:
        super().__init__(opening)
        self._transport = transport

    async def __aenter__(self) -> Self:
        self.reservation = await self._transport.ask(self._opening)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._transport.ask(self._closing(error))
        except ApiProblem as problem:
            if error is None:
                raise
            self._not_released(error, problem)


P = ParamSpec("P")


class Holding(Generic[P]):
    """The method `hold` of reservations: the words of a reservation, and a block for an answer."""

    def __init__(self, reserve: Callable[P, Call[Reservation]]) -> None:
        self.call = reserve
        self.__doc__ = reserve.__doc__

    @overload
    def __get__(self, one: None, owner: type) -> Holding[P]: ...
    @overload
    def __get__(self, one: Resource[Transport], owner: type) -> Callable[P, Hold]: ...
    @overload
    def __get__(self, one: Resource[AsyncTransport], owner: type) -> Callable[P, AsyncHold]: ...
    def __get__(self, one: Any, owner: type) -> Any:
        if one is None:
            return self
        block: Any = Hold if isinstance(one.transport, Transport) else AsyncHold

        @wraps(self.call)
        def hold(*args: P.args, **words: P.kwargs) -> Any:
            return block(one.transport, self.call(*args, **words))

        return hold
