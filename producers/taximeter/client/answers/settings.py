"""Plans, who has which, and what was bought beside it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from taximeter.client.answers.wire import Answered


class Limit(Answered):
    """A limit of a plan; `amount` None or 0 is no limit."""

    limit_id: str
    meter: str
    window: str
    amount: Decimal | None
    level: str
    hard: bool
    action: str
    degrade_to: str
    on_outage: str
    thresholds: tuple[Decimal, ...]


class Plan(Answered):
    """A plan as it is now; every limit is `multiplier` times."""

    plan_id: str
    name: str
    multiplier: Decimal
    limits: tuple[Limit, ...]


class Plans(Answered):
    """By name."""

    plans: tuple[Plan, ...]


class Assignment(Answered):
    """From `valid_from` on the level has the plan; None: none."""

    level: str
    plan_id: str | None
    valid_from: datetime


class Assignments(Answered):
    """By level, the oldest first."""

    assignments: tuple[Assignment, ...]


class AddOn(Answered):
    """What raises the limits by month of a meter."""

    add_on_id: str
    level: str
    meter: str
    amount: Decimal
    starts_at: datetime
    ends_at: datetime | None
    reason: str


class AddOns(Answered):
    """By level, the oldest first."""

    add_ons: tuple[AddOn, ...]
