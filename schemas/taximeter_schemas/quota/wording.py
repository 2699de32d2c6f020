"""Sentences about limits, the same wherever a person reads them: in answers, in the SDK's errors, on a command line."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from taximeter_schemas.money import plain
from taximeter_schemas.quota.answers import Standing
from taximeter_schemas.quota.limits import Window

_WINDOWS: Final = {
    Window.RUN: "in this run",
    Window.MINUTE: "this minute",
    Window.DAY: "this day",
    Window.MONTH: "this month",
}
_LAST_SECOND: Final = 253_402_300_799
"""Of the year 9999: later ones have no date."""


def explained(standing: Standing) -> str:
    """How a limit stands, in one sentence without a full stop.

    Like: account/acme has used 4,990,000 of 5,000,000 total_tokens this month and 8,000 are held; 2,000 are left until
    2026-12-01 00:00 UTC.
    """
    most = amount_of(standing.limit + standing.added)
    bought = f" ({amount_of(standing.added)} of them added)" if standing.added else ""
    said = f"{standing.level} has used {amount_of(standing.used)} of {most} {standing.meter}{bought}"
    said += f" {_WINDOWS[standing.window]}"
    if standing.held:
        said += f" and {_counted(standing.held)} held"
    said += f"; {_counted(standing.remaining)} left"
    if standing.resets_at is not None:
        said += f" until {moment_of(standing.resets_at)}"
    if standing.lacking:
        said += f"; {standing.lacking:,} calls without a known price or use are not in it"
    return said


def amount_of(amount: Decimal) -> str:
    """An amount for people, to the last digit: thousands apart, no trailing zeros."""
    whole, point, rest = plain(amount).partition(".")
    return f"{int(whole):,}{point}{rest}"


def moment_of(unix_us: int) -> str:
    """A time for people, UTC; with seconds only where it has some."""
    if unix_us // 1_000_000 > _LAST_SECOND:
        return "for ever"
    moment = datetime.fromtimestamp(unix_us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment.second else f"{moment:%Y-%m-%d %H:%M} UTC"


def _counted(amount: Decimal) -> str:
    return f"{amount_of(amount)} {'is' if amount == 1 else 'are'}"
