"""The usage bar, and what was sent."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from taximeter.client.answers.wire import Answered


class AccountUsage(Answered):
    """Whole tokens of the billing month. Without a limit `limit` and `remaining` are None, and `percent` is 0."""

    month: str
    used: int
    limit: int | None
    remaining: int | None
    percent: float
    add_on: int
    plan: str | None


class Charged(Answered):
    """False: nothing was charged."""

    success: bool


class Simulated(Answered):
    """What became of tokens that nobody used."""

    ok: bool
    message: str
    tokens_added: int
    summary: AccountUsage


class UsageAccepted(Answered):
    """Kafka has it; it is in the sums with the next tick of the rollups, seconds later."""

    event_id: UUID
    account_id: str
    transaction_id: str
    total_tokens: int


class EventResult(Answered):
    """What became of one event of a batch; `problem` says what to correct."""

    index: int
    event_id: UUID | None
    status: str
    problem: str | None = None


class BatchAnswer(Answered):
    """What became of a batch, event by event. Refused ones are to be corrected; the others are there."""

    accepted: int
    refused: int
    results: tuple[EventResult, ...]


class EmbedToken(Answered):
    """What opens the embedded usage page at `path`, until then."""

    token: str
    expires_at: datetime
    path: str
