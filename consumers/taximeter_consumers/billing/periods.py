"""Billing periods: when they begin and end, by the terms of an account. Pure.

A period begins at midnight of the anchor day in the account's time zone and ends where the next one begins, so periods
tile time: no gap, no overlap, daylight saving or not. Exactly one period begins in each calendar month; that month is
its label. Terms count from the first period that begins while they are in force: the period of a change ends where its
own terms' successor says, so it may be longer or shorter than a month.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from taximeter_consumers.billing.terms import EPOCH, Terms, in_force
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_QUARTER_HOUR: Final = timedelta(minutes=15)
_LEAST: Final = timedelta(microseconds=1)
_LAST_YEAR: Final = 2200


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    def plus(self, months: int) -> Month:
        """That many months later; earlier where negative."""
        year, month = divmod(self.year * 12 + self.month - 1 + months, 12)
        return Month(year, month + 1)

    @classmethod
    def of_label(cls, label: str) -> Month:
        """The month of a label like 2026-11. Raises Misconfigured for any other text."""
        year, _, month = label.partition("-")
        if len(year) == 4 and len(month) == 2 and (year + month).isdecimal() and label.isascii():
            found = cls(int(year), int(month))
            if 1970 <= found.year <= _LAST_YEAR and 1 <= found.month <= 12:
                return found
        raise Misconfigured(f"{label!r} is no billing period", mend="write the month in which it begins, like 2026-11")


@dataclass(frozen=True, order=True)
class Period:
    """A billing period: from `starts_at` (inclusive) to `ends_at` (exclusive), UTC."""

    starts_at: datetime
    ends_at: datetime
    label: str


def midnight(terms: Terms, month: Month) -> datetime:
    """The instant, UTC, at which the anchor day of `month` begins in the account's time zone.

    Raises Misconfigured for an unknown zone, and where the instant is no quarter of an hour: usage is summed by those.
    """
    local = datetime(month.year, month.month, terms.anchor_day, tzinfo=zone(terms.time_zone))
    instant = local.astimezone(UTC)
    if (instant - EPOCH) % _QUARTER_HOUR:
        raise Misconfigured(
            f"in {terms.time_zone} the day {local:%Y-%m-%d} begins at no quarter of an hour UTC",
            mend="use a time zone whose offset is a multiple of 15 minutes, such as UTC",
        )
    return instant


def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises Misconfigured."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Misconfigured(
            f"there is no time zone {name!r}",
            mend="use an IANA name like Europe/Berlin; install tzdata where this machine knows no zones",
        ) from error


def periods_from(history: Sequence[Terms], first: Month) -> Iterator[Period]:
    """The periods of an account from the one labelled `first` on, in order."""
    default = Terms("", EPOCH)
    month, starts_at = _before_terms(history, first)
    while month.year < _LAST_YEAR:
        following = month.plus(1)
        ends_at = midnight(in_force(history, starts_at) or default, following)
        if ends_at <= starts_at:
            raise Misconfigured(
                f"the billing period {month} would be empty by these terms",
                mend="let the anchor day or the time zone change a month later",
            )
        if month >= first:
            yield Period(starts_at, ends_at, str(month))
        month, starts_at = following, ends_at


def period_of(history: Sequence[Terms], moment: datetime) -> Period:
    """The period of an account in which `moment` lies. `history` is all its terms, in any order."""
    in_utc = moment.astimezone(UTC)
    month = Month(in_utc.year, in_utc.month)
    if month < _first_own(history):
        start = midnight(Terms("", EPOCH), month)
        return Period(start, midnight(Terms("", EPOCH), month.plus(1)), str(month))
    return next(period for period in periods_from(history, _first_own(history).plus(-1)) if moment < period.ends_at)


def period_labelled(history: Sequence[Terms], label: str) -> Period:
    """The period of an account that begins in the month `label`, like 2026-11. Raises Misconfigured."""
    return next(periods_from(history, Month.of_label(label)))


def closes_at(history: Sequence[Terms], period: Period) -> datetime:
    """When a period is closed: its end and the grace of the terms that count for it."""
    terms = in_force(history, period.starts_at)
    return period.ends_at + timedelta(hours=(terms or Terms("", EPOCH)).grace_hours)


def last_closed(history: Sequence[Terms], now: datetime) -> Period:
    """The latest period that is closed at `now`."""
    period = period_of(history, now)
    while closes_at(history, period) > now:
        period = period_of(history, period.starts_at - _LEAST)
    return period


def _first_own(history: Sequence[Terms]) -> Month:
    """The month whose period is the first that terms of the account can touch."""
    first = min((terms.valid_from.astimezone(UTC) for terms in history), default=datetime.max.replace(tzinfo=UTC))
    return Month(first.year, first.month)


def _before_terms(history: Sequence[Terms], month: Month) -> tuple[Month, datetime]:
    """Where to begin to count: at `month`, or earlier where terms have a say in when it begins."""
    begin = min(month, _first_own(history))
    return begin, midnight(Terms("", EPOCH), begin)
