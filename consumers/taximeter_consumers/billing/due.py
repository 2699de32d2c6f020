"""Which periods of which accounts are due to be invoiced, and whether they may be yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from taximeter_consumers.billing.charged import charged_accounts
from taximeter_consumers.billing.periods import Month, closes_at, last_closed, period_labelled, periods_from
from taximeter_consumers.billing.stored import invoiced_accounts, latest_labels
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from taximeter_consumers.billing.settings import Settings
    from taximeter_consumers.billing.terms import Terms
    from taximeter_consumers.clickhouse import ClickHouse


@dataclass(frozen=True)
class Due:
    """A period of an account; `is_last` unless a later one is due in the same run."""

    account_id: str
    label: str
    closes_at: datetime
    is_last: bool = True


@dataclass(frozen=True)
class DueList:
    """What is due, and the accounts whose terms do not allow to say so."""

    due: Sequence[Due]
    refused: Sequence[tuple[str, Misconfigured]] = ()


def due_in(clickhouse: ClickHouse, settings: Settings, label: str, account: str | None = None) -> DueList:
    """The period `label` of one account, or of all that may owe something for it."""
    usual = period_labelled((), label)
    accounts = {account} if account is not None else charged_accounts(clickhouse, usual) | _known(clickhouse, settings)

    def of(account_id: str) -> list[Due]:
        terms = settings.of(account_id).terms
        return [Due(account_id, label, closes_at(terms, period_labelled(terms, label)))]

    return _of_each(accounts, of)


def due_now(clickhouse: ClickHouse, settings: Settings, now: datetime, account: str | None = None) -> DueList:
    """What is closed at `now`: of each account the last closed period, and those since its latest invoice."""
    usual = last_closed((), now)
    latest = latest_labels(clickhouse)
    accounts = {account} if account is not None else charged_accounts(clickhouse, usual) | _known(clickhouse, settings)
    return _of_each(accounts, lambda one: closed_since(one, settings.of(one).terms, latest.get(one), now))


def closed_since(account_id: str, terms: Sequence[Terms], latest: str | None, now: datetime) -> list[Due]:
    """The periods of an account after its `latest` invoice that are closed at `now`; without one, the last closed."""
    last = last_closed(terms, now).label
    first = last if latest is None else min(last, str(Month.of_label(latest).plus(1)))
    due = []
    for period in periods_from(terms, Month.of_label(first)):
        if period.label > last:
            break
        closed = closes_at(terms, period)
        if closed <= now:
            due.append(Due(account_id, period.label, closed, is_last=period.label == last))
    return due


def check_closed(due: Iterable[Due], now: datetime) -> None:
    """Raises Misconfigured where a period is not closed yet: events that are on their way would be late at once."""
    early = sorted((one for one in due if one.closes_at > now), key=lambda one: one.closes_at)
    if early:
        last = early[-1]
        raise Misconfigured(
            f"the period {last.label} of account {last.account_id} closes at {last.closes_at:%Y-%m-%d %H:%M} UTC"
            + (f", and {len(early) - 1} more are not closed yet" if len(early) > 1 else ""),
            mend="wait until then; --dry-run shows what it comes to so far, a run without --period closes the rest",
        )


def last_closing(due: Iterable[Due], label: str | None, now: datetime) -> datetime:
    """When the last of the periods closed; also by the usual terms, since accounts of which nothing is rolled up yet
    are not among those that are due."""
    usual = last_closed((), now) if label is None else period_labelled((), label)
    return max([closes_at((), usual), *(one.closes_at for one in due)])


def check_rolled_up(closing: datetime, pending_since: datetime | None) -> None:
    """Raises Misconfigured where events that were stored before the periods closed are not in the rollups yet."""
    if pending_since is not None and pending_since < closing:
        raise Misconfigured(
            f"events that were stored at {pending_since:%Y-%m-%d %H:%M:%S} UTC are not in the charges yet",
            mend="run `taximeter aggregate`, then again",
        )


def check_priced(clickhouse: ClickHouse) -> None:
    """Raises Misconfigured where prices or a re-rating are not in the charges yet: they would be late at once."""
    if prices_wait(clickhouse):
        raise Misconfigured(
            "the price book has prices, or there is a re-rating, that the charges do not have yet",
            mend="run `taximeter aggregate`, then again",
        )


def prices_wait(clickhouse: ClickHouse) -> bool:
    """Whether the price book or a re-rating waits for a tick. Before the first tick there is nothing to bill."""
    from taximeter_consumers.pricing.cards import current_book
    from taximeter_consumers.rollups.repriced import last_book

    rolled_up = last_book(clickhouse)
    if rolled_up is None:
        return False
    waiting = int(clickhouse.scalar("SELECT count() FROM reprices WHERE step = 2"))
    return bool(waiting) or current_book(clickhouse).version != rolled_up


def pending_since(clickhouse: ClickHouse) -> datetime | None:
    """When the oldest batch was stored that is not rolled up, by the server's clock; None where none waits."""
    from taximeter_consumers.rollups.lag import rollup_lag_seconds

    lag = rollup_lag_seconds(clickhouse)
    now: datetime = clickhouse.scalar("SELECT now64(6, 'UTC')")
    return now.replace(tzinfo=UTC) - timedelta(seconds=lag) if lag else None


def _of_each(accounts: Iterable[str], of: Callable[[str], list[Due]]) -> DueList:
    due: list[Due] = []
    refused = []
    for account_id in sorted(accounts):
        try:
            due += of(account_id)
        except Misconfigured as error:
            refused.append((account_id, error))
    return DueList(due, refused)


def _known(clickhouse: ClickHouse, settings: Settings) -> set[str]:
    return settings.accounts | invoiced_accounts(clickhouse)
