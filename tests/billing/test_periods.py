"""Billing periods: pure, held against their laws."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.billing.periods import (
    Month,
    closes_at,
    last_closed,
    midnight,
    period_labelled,
    period_of,
    periods_from,
)
from taximeter_consumers.billing.terms import Terms
from taximeter_schemas.errors import Misconfigured

ZONES = (
    "UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns",
    "Pacific/Kiritimati", "Pacific/Niue", "America/Havana", "Africa/Cairo", "Asia/Kolkata", "Pacific/Chatham",
)  # fmt: skip
FIRST, LAST = datetime(2019, 1, 1), datetime(2031, 1, 1)  # noqa: DTZ001  # hypothesis wants its bounds without a zone
MOMENTS = st.datetimes(FIRST, LAST, timezones=st.just(UTC))
# Far from both ends of a month, so that no mixture of zones makes an empty period.
DAYS = st.integers(2, 26)
HISTORIES = st.lists(
    st.builds(Terms, st.just("acme"), MOMENTS, anchor_day=DAYS, time_zone=st.sampled_from(ZONES)), max_size=4
)


def utc(*parts: int) -> datetime:
    """An instant."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # parts of a date, in order


@given(HISTORIES, MOMENTS)
def test_periods_tile_time(history: list[Terms], moment: datetime) -> None:
    """Each begins where the last one ended, one in every month, and each has its own label."""
    first = Month(moment.year, moment.month)
    periods = list(islice(periods_from(history, first), 30))
    assert all(one.ends_at == other.starts_at for one, other in pairwise(periods))
    assert all(period.starts_at < period.ends_at for period in periods)
    assert [period.label for period in periods] == [str(first.plus(place)) for place in range(30)]


@given(HISTORIES, MOMENTS)
def test_every_moment_is_in_exactly_one_period(history: list[Terms], moment: datetime) -> None:
    """It is found however it is looked for, by the moment or by the label."""
    period = period_of(history, moment)
    assert period.starts_at <= moment < period.ends_at
    assert period == period_labelled(history, period.label)
    assert period == period_of(history, period.starts_at)
    assert period == period_of(history, period.ends_at - timedelta(microseconds=1))
    assert period_of(history, period.ends_at).starts_at == period.ends_at


@given(HISTORIES, MOMENTS)
def test_periods_begin_on_quarters_of_an_hour(history: list[Terms], moment: datetime) -> None:
    """So no row of the charges lies in two of them."""
    assert period_of(history, moment).starts_at.timestamp() % 900 == 0


@given(HISTORIES, HISTORIES, MOMENTS)
def test_terms_of_the_future_change_no_period_that_has_begun(
    history: list[Terms], later: list[Terms], moment: datetime
) -> None:
    """A period follows from the terms in force at its start."""
    period = period_of(history, moment)
    future = [terms for terms in later if terms.valid_from > period.starts_at]
    assert period_of([*(old for old in history if old.valid_from <= period.starts_at), *future], moment) == period


def test_without_terms_a_period_is_a_month_in_utc() -> None:
    """And it is closed a day after its end."""
    period = period_of((), utc(2026, 11, 22, 9))
    assert (period.label, period.starts_at, period.ends_at) == ("2026-11", utc(2026, 11, 1), utc(2026, 12, 1))
    assert closes_at((), period) == utc(2026, 12, 2)


def test_daylight_saving_moves_the_instant_not_the_day() -> None:
    """Midnight in Berlin is 22:00 UTC in summer and 23:00 in winter."""
    berlin = [Terms("acme", utc(2020, 1, 1), anchor_day=5, time_zone="Europe/Berlin")]
    period = period_labelled(berlin, "2026-10")
    assert (period.starts_at, period.ends_at) == (utc(2026, 10, 4, 22), utc(2026, 11, 4, 23))


def test_a_day_without_midnight_begins_when_the_clock_jumps() -> None:
    """In Cairo 28 April 2023 began at one o'clock."""
    assert midnight(Terms("acme", utc(2020, 1, 1), anchor_day=28, time_zone="Africa/Cairo"), Month(2023, 4)) == utc(
        2023, 4, 27, 22
    )


def test_a_change_lengthens_the_period_in_which_it_falls_and_never_splits_it() -> None:
    """The period that had begun keeps its end; the next one begins there and ends on the new day."""
    history = [Terms("acme", utc(2026, 11, 22), anchor_day=15)]
    found = [period_labelled(history, label) for label in ("2026-11", "2026-12", "2027-01")]
    assert [period.ends_at for period in found] == [utc(2026, 12, 1), utc(2027, 1, 15), utc(2027, 2, 15)]


def test_the_last_closed_period_waits_for_its_grace() -> None:
    """With 48 hours of grace October is open until 3 November."""
    slow = [Terms("acme", utc(2020, 1, 1), grace_hours=48)]
    assert last_closed(slow, utc(2026, 11, 2, 23, 59)).label == "2026-09"
    assert last_closed(slow, utc(2026, 11, 3)).label == "2026-10"
    assert last_closed((), utc(2026, 11, 2)).label == "2026-10"


def test_an_empty_period_is_refused() -> None:
    """From day 28 in Niue to day 1 in Kiritimati no time passes in a February of 28 days."""
    history = [
        Terms("acme", utc(2026, 1, 1), anchor_day=28, time_zone="Pacific/Niue"),
        Terms("acme", utc(2026, 2, 28), anchor_day=1, time_zone="Pacific/Kiritimati"),
    ]
    with pytest.raises(Misconfigured, match="empty"):
        list(islice(periods_from(history, Month(2026, 1)), 4))


def test_zones_that_begin_a_day_between_quarters_are_refused() -> None:
    """Amsterdam was 19 minutes and 32 seconds before UTC until 1937; Monrovia 44 minutes behind until 1972."""
    with pytest.raises(Misconfigured, match="quarter"):
        midnight(Terms("acme", utc(1971, 1, 1), time_zone="Africa/Monrovia"), Month(1971, 6))


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    """With the mend."""
    with pytest.raises(Misconfigured, match="no time zone"):
        midnight(Terms("acme", utc(2026, 1, 1), time_zone=name), Month(2026, 6))


@pytest.mark.parametrize("label", ["2026-13", "2026", "26-01", "2026-1", "2026-11-01", "abcd-ef", "1900-01", "२०२६-११"])
def test_what_is_no_month_is_no_period(label: str) -> None:
    """A label is the month in which the period begins."""
    with pytest.raises(Misconfigured):
        period_labelled((), label)


@pytest.mark.parametrize("wrong", [{"anchor_day": 0}, {"anchor_day": 29}, {"grace_hours": -1}, {"currency": "EUR"}])
def test_terms_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    """When they are made."""
    with pytest.raises(Misconfigured):
        Terms("acme", utc(2026, 1, 1), **wrong)  # type: ignore[arg-type]  # each of its own type
