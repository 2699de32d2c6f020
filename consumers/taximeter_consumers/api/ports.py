"""What the routes that write need of others, as narrow as they need it. Whoever starts the API puts it in.

The quota service is asked through the SDK's client, which these parts may not import; its methods are meant here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from taximeter_schemas.errors import TaximeterError
    from taximeter_schemas.event import MeterEvent
    from taximeter_schemas.quota.answers import Answer
    from taximeter_schemas.quota.subject import Subject

Amounts = Mapping[str, Decimal | int]


class QuotaAsker(Protocol):
    """One question each to the quota service. All raise Retryable when nobody answers, and Misconfigured."""

    def reserve(self, subject: Subject, amounts: Amounts, *, hold_id: str, ttl: int) -> Answer:
        """Hold amounts. The same `hold_id` again is the same hold."""

    def check(self, subject: Subject, amounts: Amounts) -> Answer:
        """What a reservation would be answered; nothing is held."""

    def confirm(self, hold: str, actual: Amounts, *, subject: Subject) -> Answer:
        """The work of a hold is done and used `actual`."""

    def release(self, hold: str, *, subject: Subject) -> Answer:
        """The work of a hold is not done."""

    def show(
        self, subject: Subject, *, timeout: float | None = None, before: int | None = None, only: str | None = None
    ) -> Answer:
        """Limits, use and holds of a subject: the newest, those before a place, or one alone. Waits for `timeout`
        seconds at most, if it is given."""

    def close(self) -> None:
        """End what waits for answers."""


class EventSender(Protocol):
    """Puts events into the log."""

    def send(self, events: Sequence[MeterEvent]) -> list[TaximeterError | None]:
        """One for each event, in order: None once all in-sync replicas have it, else why that is not known.

        Waits some seconds at most. What is not known to be there may be there; sending it again does no harm."""

    def close(self) -> None:
        """Let go of the connections."""
