"""Rules: a limit as it counts for one level now, with the windows over which it counts written out.

Whoever decides needs no calendar: the days and billing months of a rule, in the time zone of its account, come with it.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

MINUTE: Final = 60_000_000
DEFAULT_THRESHOLDS: Final = (Decimal(50), Decimal(75), Decimal(90), Decimal(100))


class Window(StrEnum):
    """Over what a limit counts."""

    RUN = "run"
    MINUTE = "minute"
    DAY = "day"
    MONTH = "month"


class Action(StrEnum):
    """What happens to work for which a hard limit has no room."""

    BLOCK = "block"
    DEGRADE = "degrade"


class OnOutage(StrEnum):
    """What a gate answers when its lease is over and the quota service does not answer."""

    CLOSED = "closed"
    OPEN = "open"


class Span(BaseModel):
    """From `starts_at` (inclusive) to `ends_at` (exclusive), Unix microseconds."""

    model_config = ConfigDict(frozen=True)

    starts_at: int
    ends_at: int


FOR_EVER: Final = Span(starts_at=0, ends_at=2**62)
"""The window of a run."""


class Rule(BaseModel):
    """A limit of one level. `amount` is positive and includes the plan's multiplier, not `added` (bought add-ons)."""

    model_config = ConfigDict(frozen=True)

    limit_id: str
    meter: str
    window: Window
    amount: Decimal
    added: Decimal = Decimal(0)
    hard: bool = True
    action: Action = Action.BLOCK
    degrade_to: str = ""
    on_outage: OnOutage = OnOutage.CLOSED
    thresholds: tuple[Decimal, ...] = DEFAULT_THRESHOLDS
    plan_id: str = ""
    spans: tuple[Span, ...] = ()
    """The windows that are known, in order: today and tomorrow, this billing period and the next. Minutes and runs
    need none."""

    @property
    def most(self) -> Decimal:
        """What may be used in one window."""
        return self.amount + self.added

    def window_at(self, now: int) -> Span | None:
        """The window in which `now` (Unix microseconds) lies; None where nobody has said yet when it begins."""
        if self.window is Window.RUN:
            return FOR_EVER
        if self.window is Window.MINUTE:
            start = now - now % MINUTE
            return Span(starts_at=start, ends_at=start + MINUTE)
        return next((span for span in self.spans if span.starts_at <= now < span.ends_at), None)
