"""The windows of limits, in the time zone of an account: days and billing months, as spans of microseconds. Pure.

Days tile time, also where the clock is put forward or back: a day begins where the one before it ends, and may have 23
or 25 hours. A billing month is a billing period (billing/periods.py). Every bound is a whole minute, as use is summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final

from taximeter_consumers.billing.periods import period_of, zone
from taximeter_consumers.billing.terms import EPOCH, Terms, in_force
from taximeter_schemas.quota.limits import MINUTE, Span

# So far may the clocks of the broker, of ClickHouse and of the service be apart. As long after a window has begun, the
# one before it is still told: a command of its last moment may come later than facts of the next one's first.
APART: Final = 5 * MINUTE
_LEAST: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Calendar:
    """How an account divides time: by its billing terms. Without any: days and months of UTC."""

    terms: tuple[Terms, ...] = ()

    def months(self, now: int) -> tuple[Span, ...]:
        """This billing period and the next one; the one before as well shortly after this one has begun."""
        this = period_of(self.terms, moment_of(now))
        following = period_of(self.terms, this.ends_at)
        spans = [Span(starts_at=micros_of(one.starts_at), ends_at=micros_of(one.ends_at)) for one in (this, following)]
        if now - spans[0].starts_at < APART:
            before = period_of(self.terms, this.starts_at - _LEAST)
            spans.insert(0, Span(starts_at=micros_of(before.starts_at), ends_at=micros_of(before.ends_at)))
        return tuple(spans)

    def days(self, now: int) -> tuple[Span, ...]:
        """Today and tomorrow; yesterday as well shortly after today has begun."""
        name = self.zone_at(now)
        # The calendar day of an instant near a jump of the clock may be off by one of the span that holds it.
        today = moment_of(now).astimezone(zone(name)).date()
        bounds = [_midnight(name, today + timedelta(days=step)) for step in range(-2, 4)]
        spans = [Span(starts_at=start, ends_at=end) for start, end in pairwise(bounds) if start < end]
        place = next(number for number, span in enumerate(spans) if span.starts_at <= now < span.ends_at)
        first = place - 1 if now - spans[place].starts_at < APART else place
        return tuple(spans[first : place + 2])

    def zone_at(self, now: int) -> str:
        """The time zone of the terms that count for the billing period of `now`."""
        begin = period_of(self.terms, moment_of(now)).starts_at
        terms = in_force(self.terms, begin)
        return terms.time_zone if terms else "UTC"

    def plan_at(self, now: int) -> str:
        """The plan of the terms that count for the billing period of `now`; empty: none."""
        terms = in_force(self.terms, period_of(self.terms, moment_of(now)).starts_at)
        return terms.plan_id if terms else ""


UTC_CALENDAR: Final = Calendar()
"""That of accounts without terms, and of every organisation."""


def minutes(now: int) -> tuple[Span, ...]:
    """The minute before, this one, and the next one: clocks are apart, and minutes are short."""
    this = now - now % MINUTE
    return tuple(Span(starts_at=start, ends_at=start + MINUTE) for start in (this - MINUTE, this, this + MINUTE))


def micros_of(moment: datetime) -> int:
    """Unix microseconds, exactly."""
    return (moment - EPOCH) // _LEAST


def moment_of(micros: int) -> datetime:
    """The instant, UTC."""
    return EPOCH + timedelta(microseconds=micros)


def is_tiled(spans: Sequence[Span]) -> bool:
    """Whether each begins where the one before it ends."""
    return all(one.ends_at == other.starts_at for one, other in pairwise(spans))


def _midnight(name: str, day: date) -> int:
    """When a day begins, in whole minutes. Where midnight is skipped it begins with the first instant there is; where
    it comes twice, with the first of both."""
    instant = datetime(day.year, day.month, day.day, tzinfo=zone(name)).astimezone(UTC)
    found = micros_of(instant)
    return found - found % MINUTE
