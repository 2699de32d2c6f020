"""Limits, and reservations against them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from taximeter.client.answers.wire import Answered


class Standing(Answered):
    """How one limit of one level stands: `remaining` is what is left of `limit` and `added`."""

    level: str
    plan_id: str
    limit_id: str
    meter: str
    window: str
    hard: bool
    action: str
    on_outage: str
    limit: Decimal
    added: Decimal
    used: Decimal
    held: Decimal
    remaining: Decimal
    percent: Decimal
    lacking: int
    starts_at: datetime
    resets_at: datetime | None


class Reservation(Answered):
    """A reservation. The events of its work carry `transaction_id`. `degrade_to`, where it is not empty, says which
    lesser way to do the work."""

    reservation_id: str
    transaction_id: str
    account_id: str
    state: str
    amounts: dict[str, Decimal]
    expires_at: datetime | None
    degrade_to: str = ""
    warnings: tuple[Standing, ...] = ()


class Settled(Answered):
    """What a confirmed or released reservation belongs to."""

    reservation_id: str
    transaction_id: str
    account_id: str
    state: str


class QuotaCheck(Answered):
    """Whether the work may be done now; nothing is held."""

    allowed: bool
    reason: str
    degrade_to: str
    refused_by: Standing | None
    warnings: tuple[Standing, ...]
    as_of: datetime | None


class Held(Answered):
    """A reservation that claims."""

    reservation_id: str
    state: str
    amounts: dict[str, Decimal]
    expires_at: datetime
    run_id: str


class Quota(Answered):
    """Limits, use and the newest reservations of a subject; `more_reservations`: there are older ones."""

    account_id: str
    standings: tuple[Standing, ...]
    reservations: tuple[Held, ...]
    more_reservations: bool = False
    as_of: datetime | None


class ReservationsPage(Answered):
    """The newest first."""

    reservations: tuple[Held, ...]
    next_cursor: str | None
