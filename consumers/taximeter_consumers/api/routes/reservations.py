"""`/v1/reservations`: amounts held before work begins, confirmed by what it used or given back.

What is granted is held by the quota service before it is answered; a crash of the API leaves it to expire. Every call
may be repeated.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query

from taximeter_consumers.api.access import Caller, IdempotencyKey, Ingester, Reader, Using
from taximeter_consumers.api.cursor import cursor_of, place_of, useless
from taximeter_consumers.api.models.quota import (
    ConfirmAsked,
    HoldOf,
    HoldState,
    Reservation,
    ReservationAsked,
    ReservationsPage,
    ReservationsQuery,
    Settled,
)
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.problems import Problem, not_found
from taximeter_consumers.api.reservations import (
    granted,
    hold_of,
    is_of,
    moment_of,
    new_name,
    standing_of,
    subject_of,
    unexpected,
)
from taximeter_schemas.quota.answers import Status
from taximeter_schemas.quota.subject import Subject

if TYPE_CHECKING:
    from taximeter_schemas.quota.answers import Answer

router = APIRouter(prefix="/v1/reservations", tags=["quotas"])
Id = Annotated[
    str, Path(alias="reservationId", min_length=1, max_length=128, description="As POST /v1/reservations gave it")
]
_DENIALS = ("quota-exceeded", "too-many-requests", "conflict", "not-found", "unsupported-media-type")


@router.post("", operation_id="reserve", summary="Hold amounts", status_code=201, responses=refusals(*_DENIALS))
def reserve(
    asked: ReservationAsked, caller: Ingester, services: Using, idempotency_key: IdempotencyKey = None
) -> Reservation:
    """Holds amounts before the work, at each level that is named. The work's events carry `transactionId`.

    402: a limit of a month or a run has no room; 429: one of a minute or a day has none before Retry-After. `standing`
    says which, what is left and when it resets. With an Idempotency-Key a repeat is the same reservation.
    """
    account = the_account(caller, asked.account_id)
    name = new_name(account, idempotency_key, secrets.token_hex)
    ttl = asked.ttl_seconds or services.settings.hold_seconds
    answer = services.asker.reserve(subject_of(asked, account), asked.amounts, hold_id=name, ttl=ttl)
    granted(answer, services.now())
    return Reservation(
        reservation_id=answer.hold_id,
        transaction_id=answer.transaction_id,
        account_id=account,
        state=HoldState.OPEN,
        amounts=dict(answer.amounts),
        expires_at=moment_of(answer.expires_at),
        degrade_to=answer.degrade_to,
        warnings=[standing_of(one) for one in answer.warnings],
    )


@router.get("", operation_id="listReservations", summary="Reservations", responses=refusals("not-found"))
def list_reservations(
    chosen: Annotated[ReservationsQuery, Query()], caller: Reader, services: Using
) -> ReservationsPage:
    """Those of an account, or of a project, user, key or run of it, that still claim something, the newest first.

    One whose work is wholly in the usage claims nothing and is not among them. Pages are stable.
    """
    account = the_account(caller, chosen.account_id)
    subject = subject_of(chosen, account)
    question = {"subject": subject.levels[-1]}
    (before,) = place_of(chosen.cursor, question, (int,)) if chosen.cursor else (None,)
    if before is not None and not 0 <= before < 2**63:
        raise useless()
    answer = services.asker.show(subject, before=before)
    if answer.status is not Status.SHOWN:
        raise unexpected(answer)
    page = answer.holds[-chosen.limit :][::-1]
    more = answer.hidden_holds > 0 or len(answer.holds) > chosen.limit
    return ReservationsPage(
        reservations=[hold_of(one) for one in page],
        next_cursor=cursor_of((page[-1].place,), question) if more else None,
    )


@router.get(
    "/{reservationId}", operation_id="readReservation", summary="A reservation", responses=refusals("not-found")
)
def read_reservation(
    reservation_id: Id, chosen: Annotated[HoldOf, Query()], caller: Reader, services: Using
) -> Reservation:
    """How it stands. One that is over is found for some minutes more."""
    account = _owner(caller, chosen.account_id, reservation_id)
    answer = services.asker.show(Subject(account_id=account), only=reservation_id)
    if answer.status is not Status.SHOWN:
        raise unexpected(answer)
    for hold in answer.holds:
        if hold.hold_id == reservation_id:
            return Reservation(
                reservation_id=hold.hold_id,
                transaction_id=hold.hold_id,
                account_id=account,
                state=HoldState(hold.state),
                amounts=dict(hold.amounts),
                expires_at=moment_of(hold.expires_at),
            )
    raise not_found("reservation")


@router.post(
    "/{reservationId}/confirm",
    operation_id="confirm",
    summary="The work is done",
    responses=refusals("not-found", "conflict", "unsupported-media-type"),
)
def confirm(reservation_id: Id, asked: ConfirmAsked, caller: Ingester, services: Using) -> Settled:
    """Settles a reservation by what its work used; what is left of it returns. One that has expired is settled, too."""
    account = _owner(caller, asked.account_id, reservation_id)
    answer = services.asker.confirm(reservation_id, asked.actual, subject=Subject(account_id=account))
    if answer.status is not Status.SETTLED:
        raise unexpected(answer)
    return _settled(answer, account, HoldState.SETTLED)


@router.post(
    "/{reservationId}/release",
    operation_id="release",
    summary="The work is not done",
    responses=refusals("not-found", "conflict", "unsupported-media-type"),
)
def release(reservation_id: Id, caller: Ingester, services: Using, asked: HoldOf | None = None) -> Settled:
    """Gives a reservation back. 409 where it is confirmed already. The body may be left out by an account's key."""
    account = _owner(caller, asked.account_id if asked else None, reservation_id)
    answer = services.asker.release(reservation_id, subject=Subject(account_id=account))
    if answer.status is Status.SETTLED:
        raise Problem("conflict", "the reservation is confirmed already; its work counts")
    if answer.status is not Status.RELEASED:
        raise unexpected(answer)
    return _settled(answer, account, HoldState.RELEASED)


def the_account(caller: Caller, asked: str | None) -> str:
    """The one account that is meant. Raises the problem where an operator names none."""
    account = caller.account(asked)
    if not account:
        raise Problem("invalid", "name the account with accountId")
    return account


def _owner(caller: Caller, asked: str | None, name: str) -> str:
    account = the_account(caller, asked)
    if not is_of(name, account):
        raise not_found("reservation")
    return account


def _settled(answer: Answer, account: str, state: HoldState) -> Settled:
    return Settled(reservation_id=answer.hold_id, transaction_id=answer.transaction_id, account_id=account, state=state)
