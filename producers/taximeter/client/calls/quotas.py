"""Limits, and reservations against them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from taximeter.client.answers.quota import Quota, QuotaCheck, Reservation, ReservationsPage, Settled
from taximeter.client.call import IDEMPOTENCY, Call, as_model, get, post
from taximeter_schemas.uuid7 import new_event_id

if TYPE_CHECKING:
    from taximeter.client.asked import Amounts, HoldsPageWords, PartOf, ReserveWords, SubjectWords


def reserve(amounts: Amounts, **words: Unpack[ReserveWords]) -> Call[Reservation]:
    """Holds amounts by meter before the work. The events of the work must carry the answer's `transaction_id`.

    Raises LimitReached, whose `standing` says which limit has no room. With the same `idempotency_key` it is the same
    reservation; without one the client makes one, so that its own retries hold once.
    """
    key = words.pop("idempotency_key", None) or str(new_event_id())
    call = post("/v1/reservations", as_model(Reservation), {"amounts": amounts, **words})
    return replace(call, headers={**call.headers, IDEMPOTENCY: key}, may_repeat=True)


def reservations_page(**words: Unpack[HoldsPageWords]) -> Call[ReservationsPage]:
    """One page of the reservations that still claim something, the newest first."""
    return get("/v1/reservations", as_model(ReservationsPage), words)


def read_reservation(reservation_id: str, *, account_id: str | None = None) -> Call[Reservation]:
    """How a reservation stands. Raises NotFound where it is long over."""
    words = {"account_id": account_id}
    return get("/v1/reservations/{reservationId}", as_model(Reservation), words, reservationId=reservation_id)


def confirm(reservation_id: str, actual: Amounts | None = None, *, account_id: str | None = None) -> Call[Settled]:
    """The work is done and used `actual`; a reserved meter that is left out counts as wholly used."""
    words = {"actual": actual, "account_id": account_id}
    call = post("/v1/reservations/{reservationId}/confirm", as_model(Settled), words, reservationId=reservation_id)
    return replace(call, may_repeat=True)


def release(reservation_id: str, *, account_id: str | None = None) -> Call[Settled]:
    """The work is not done: all of it returns. Raises Conflict where it is confirmed already."""
    words = {"account_id": account_id}
    call = post("/v1/reservations/{reservationId}/release", as_model(Settled), words, reservationId=reservation_id)
    return replace(call, may_repeat=True)


def check_quota(amounts: Amounts, **words: Unpack[SubjectWords]) -> Call[QuotaCheck]:
    """Whether amounts could be reserved now, and if not, which limit has no room. Nothing is held."""
    return replace(post("/v1/quota/check", as_model(QuotaCheck), {"amounts": amounts, **words}), may_repeat=True)


def read_quota(account_id: str, **words: Unpack[PartOf]) -> Call[Quota]:
    """Each limit that counts for an account, or for a project, user, key or run of it."""
    return get("/v1/quota/{subject}", as_model(Quota), words, subject=account_id)
