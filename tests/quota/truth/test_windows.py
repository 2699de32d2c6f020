"""Windows of limits, in any time zone, over any change of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.quota.truth.world import micros

from taximeter_consumers.billing.periods import period_of
from taximeter_consumers.billing.terms import Terms
from taximeter_consumers.quota.plans.windows import APART, UTC_CALENDAR, Calendar, is_tiled, minutes, moment_of
from taximeter_schemas.quota.limits import MINUTE, Span

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "America/Santiago",
    "Asia/Beirut",
    "Pacific/Apia",
]
MOMENTS = st.integers(micros(datetime(2009, 1, 1, tzinfo=UTC)), micros(datetime(2040, 1, 1, tzinfo=UTC)))
CALENDARS = st.builds(
    lambda zone, day: Calendar((Terms("acme", datetime(2000, 1, 1, tzinfo=UTC), time_zone=zone, anchor_day=day),)),
    st.sampled_from(ZONES),
    st.integers(1, 28),
)


def holds(spans: tuple[Span, ...], now: int) -> Span:
    """The span that holds an instant."""
    (found,) = [span for span in spans if span.starts_at <= now < span.ends_at]
    return found


@given(CALENDARS, MOMENTS)
def test_days_and_months_tile_time_and_hold_the_present(calendar: Calendar, now: int) -> None:
    """One of the known spans holds now, at least one follows it, they touch each other, and they are whole minutes."""
    for spans in (calendar.days(now), calendar.months(now)):
        this = holds(spans, now)
        assert spans[-1].starts_at >= this.ends_at
        assert is_tiled(spans)
        assert all(bound % MINUTE == 0 for span in spans for bound in (span.starts_at, span.ends_at))
        assert (spans[0] != this) == (now - this.starts_at < APART)


@given(CALENDARS, MOMENTS)
def test_the_next_day_and_month_are_those_that_follow(calendar: Calendar, now: int) -> None:
    """What is told today of tomorrow is what is told tomorrow of itself."""
    for told in (calendar.days, calendar.months):
        this, following = next((one, other) for one, other in pairwise(told(now)) if one.starts_at <= now < one.ends_at)
        assert holds(told(this.ends_at), this.ends_at) == following


@given(CALENDARS, MOMENTS)
def test_months_are_billing_periods(calendar: Calendar, now: int) -> None:
    """To the microsecond."""
    period = period_of(calendar.terms, moment_of(now))
    this = holds(calendar.months(now), now)
    assert (this.starts_at, this.ends_at) == (micros(period.starts_at), micros(period.ends_at))


def test_days_of_a_changed_clock_have_23_or_25_hours() -> None:
    """In Berlin in spring and autumn; elsewhere midnight itself may be skipped."""
    berlin = Calendar((Terms("a", datetime(2000, 1, 1, tzinfo=UTC), time_zone="Europe/Berlin"),))
    hours = [
        (holds(berlin.days(now), now).ends_at - holds(berlin.days(now), now).starts_at) // (60 * MINUTE)
        for now in (micros(datetime(2026, month, day, 12, tzinfo=UTC)) for month, day in ((3, 29), (10, 25), (7, 1)))
    ]
    assert hours == [23, 25, 24]
    santiago = Calendar((Terms("a", datetime(2000, 1, 1, tzinfo=UTC), time_zone="America/Santiago"),))
    skipped = micros(datetime(2026, 9, 6, 12, tzinfo=UTC))
    assert moment_of(holds(santiago.days(skipped), skipped).starts_at) == datetime(2026, 9, 6, 4, tzinfo=UTC)


def test_terms_count_from_their_first_billing_period_on() -> None:
    """A new zone in the middle of a month changes neither its days nor its end."""
    old = Terms("a", datetime(2026, 1, 1, tzinfo=UTC), plan_id="old")
    new = Terms("a", datetime(2026, 11, 10, tzinfo=UTC), plan_id="new", time_zone="Asia/Tokyo")
    calendar = Calendar((old, new))
    before, after = (micros(datetime(2026, month, 20, tzinfo=UTC)) for month in (11, 12))
    assert (calendar.zone_at(before), calendar.plan_at(before)) == ("UTC", "old")
    assert (calendar.zone_at(after), calendar.plan_at(after)) == ("Asia/Tokyo", "new")


@given(MOMENTS)
def test_minutes_are_told_about_the_present(now: int) -> None:
    """The one before, this one, and the next one."""
    spans = minutes(now)
    assert is_tiled(spans)
    assert holds(spans, now) == spans[1]
    assert len(spans) == 3


def test_without_terms_days_are_those_of_utc() -> None:
    """And months are calendar months."""
    now = micros(datetime(2026, 11, 5, tzinfo=UTC) + timedelta(hours=5))
    assert moment_of(holds(UTC_CALENDAR.days(now), now).starts_at) == datetime(2026, 11, 5, tzinfo=UTC)
    assert moment_of(holds(UTC_CALENDAR.months(now), now).starts_at) == datetime(2026, 11, 1, tzinfo=UTC)
