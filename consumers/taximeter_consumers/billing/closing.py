"""Closing billing periods: what is due is looked up, checked and issued, once or on and on.

A stop or a kill between any two steps loses nothing: the next round finds what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Final

import structlog

from taximeter_consumers.billing.due import (
    check_closed,
    check_priced,
    check_rolled_up,
    due_in,
    due_now,
    last_closing,
    pending_since,
    prices_wait,
)
from taximeter_consumers.billing.held_periods import hold_periods
from taximeter_consumers.billing.invoice import Draft
from taximeter_consumers.billing.run import InvoiceRun, RunReport
from taximeter_consumers.billing.settings import read_settings
from taximeter_schemas.errors import Misconfigured, Retryable
from taximeter_schemas.money import plain

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from taximeter_consumers.billing.due import DueList
    from taximeter_consumers.billing.settings import Settings
    from taximeter_consumers.clickhouse import ClickHouse

LONGEST_WAIT_SECONDS: Final = 300.0

log = structlog.get_logger("taximeter.invoices")


@dataclass(frozen=True)
class Request:
    """Which periods to close: one by its label, or (None) all that are closed; of one account, or (None) of all."""

    period: str | None = None
    account: str | None = None
    reissue: bool = False


def close_periods(clickhouse: ClickHouse, request: Request, now: datetime) -> RunReport:
    """Issues what is due. Raises Misconfigured where a period is not closed yet or its events, or prices, are not
    in the rollups."""
    settings = read_settings(clickhouse)
    listed = _due(clickhouse, settings, request, now)
    check_closed(listed.due, now)
    check_rolled_up(last_closing(listed.due, request.period, now), pending_since(clickhouse))
    check_priced(clickhouse)
    return _issue(clickhouse, InvoiceRun(clickhouse, settings, now, reissue=request.reissue), listed)


def preview_periods(clickhouse: ClickHouse, request: Request, now: datetime) -> list[Draft]:
    """What would be issued, closed or not. Changes nothing."""
    settings = read_settings(clickhouse)
    listed = _due(clickhouse, settings, request, now)
    for account_id, error in listed.refused:
        raise Misconfigured(f"account {account_id}: {error.problem}", mend=error.mend)
    return InvoiceRun(clickhouse, settings, now, reissue=request.reissue).preview(listed.due)


def follow_periods(clickhouse: ClickHouse, stop: threading.Event, interval: float) -> None:
    """Closes every `interval` seconds what has become due, until `stop` is set. Raises Misconfigured only for what no
    waiting mends; Retryable never."""
    failures = 0
    while not stop.is_set():
        try:
            failures = 0 if _round(clickhouse, datetime.now(UTC), stop) else failures + 1
        except Retryable as error:
            failures += 1
            log.warning("invoices not issued, trying again", error=str(error))
        stop.wait(wait_seconds(failures, interval))


def wait_seconds(failures: int, interval: float) -> float:
    """Until the next round: the interval; after failures a second, then twice as long each time, within bounds."""
    return interval if not failures else float(min(LONGEST_WAIT_SECONDS, interval, 2.0 ** min(failures - 1, 10)))


def _round(clickhouse: ClickHouse, now: datetime, stop: threading.Event) -> bool:
    """One look; False where the rollups are behind. Ends after the account in hand when `stop` is set."""
    settings = read_settings(clickhouse)
    listed = due_now(clickhouse, settings, now)
    since = pending_since(clickhouse)
    if since is not None and since < last_closing(listed.due, None, now):
        log.warning(
            "waiting for the rollups", pending_since=since.isoformat(), mend="run `taximeter aggregate --follow`"
        )
        return False
    if prices_wait(clickhouse):
        log.warning("waiting for prices to be in the rollups", mend="run `taximeter aggregate --follow`")
        return False
    report = _issue(clickhouse, InvoiceRun(clickhouse, settings, now), listed, lambda: not stop.is_set())
    for invoice in report.issued:
        draft = invoice.draft
        log.info(
            "invoice issued",
            invoice=invoice.invoice_id,
            account=draft.account_id,
            period=draft.period.label,
            due_usd=plain(invoice.due_usd),
        )
    for account_id, error in report.refused:
        log.error("account not invoiced", account=account_id, error=error.problem, mend=error.mend)
    return True


def _issue(
    clickhouse: ClickHouse, run: InvoiceRun, listed: DueList, goes_on: Callable[[], bool] = lambda: True
) -> RunReport:
    refused = {account_id for account_id, _ in listed.refused}
    sound = {account_id: terms for account_id, terms in run.settings.terms.items() if account_id not in refused}
    hold_periods(clickhouse, sound, run.now)
    report = run.issue(takewhile(lambda _: goes_on(), listed.due))
    report.refused += listed.refused
    return report


def _due(clickhouse: ClickHouse, settings: Settings, request: Request, now: datetime) -> DueList:
    if request.period is None:
        return due_now(clickhouse, settings, now, request.account)
    return due_in(clickhouse, settings, request.period, request.account)
