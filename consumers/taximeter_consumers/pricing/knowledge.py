"""From when on new rows of the book may be known: the beginning of time, or now.

A row that touches no call that has been priced may hold for all of its interval, so that calls that had no price get
one by the next tick. Where calls of the interval have been priced, a row is known from now on: they keep their price,
until `taximeter reprice` applies the book of now to them. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from taximeter_consumers.pricing.aliases import aliases
from taximeter_consumers.pricing.rate import EPOCH, Rate, Series
from taximeter_consumers.pricing.units import INVOCATIONS, PLUGIN, RESOURCE, UNIT

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

END: Final = datetime(2299, 1, 1, tzinfo=UTC)
"""When prices end that nothing ends."""

_MICROSECOND: Final = timedelta(microseconds=1)
# A charge stands for a quarter of an hour.
_QUARTER: Final = timedelta(minutes=15)
_PRICED: Final = """
SELECT
    if(account_id IN {accounts:Array(String)}, account_id, '') AS account, provider, model,
    toUnixTimestamp(min(quarter)), toUnixTimestamp(max(quarter))
FROM charges
WHERE source IN ('priced', 'adjusted')
GROUP BY account, provider, model
"""
# What costs nothing without a price is no line of a charge, so the events themselves are asked.
_FREE: Final = """
SELECT
    if(account_id IN {accounts:Array(String)}, account_id, '') AS account, plugin_id,
    toUnixTimestamp(min(occurred_at)), toUnixTimestamp(max(occurred_at))
FROM stored_events
GROUP BY account, plugin_id
"""


@dataclass(frozen=True)
class Stretch:
    """When calls of a model of the book have been priced, from the first to the last. The end is exclusive."""

    account_id: str
    provider: str
    model: str
    since: datetime
    until: datetime


def with_knowledge(rates: Sequence[Rate], book: Sequence[Rate], priced: Iterable[Stretch], now: datetime) -> list[Rate]:
    """`rates` to be appended to `book`, each known from the beginning where it touches nothing priced, else from now.

    A row for the same series and instant as one that is there is known later than that one, so it never replaces it.
    A row ends another one only for those who know it, so the latest are told first. Pure.
    """
    stretches = list(priced)
    units = _units_with_prices(book)
    starts: dict[Series, dict[datetime, list[datetime]]] = {}
    for row in book:
        starts.setdefault(row.series, {}).setdefault(row.valid_from, []).append(row.known_from)
    told: dict[int, Rate] = {}
    for place, rate in sorted(enumerate(rates), key=lambda pair: pair[1].valid_from, reverse=True):
        held = starts.setdefault(rate.series, {})
        known = max((there + _MICROSECOND for there in held.get(rate.valid_from, ())), default=EPOCH)
        ends = (start for start, knowns in held.items() if start > rate.valid_from and min(knowns) <= known)
        until = min(ends, default=END)
        if _could_be_priced(rate, units) and any(_touches(rate, until, stretch) for stretch in stretches):
            known = max(known, now)
        held.setdefault(rate.valid_from, []).append(known)
        told[place] = replace(rate, known_from=known)
    return [told[place] for place in range(len(rates))]


def priced_stretches(clickhouse: ClickHouse, rates: Sequence[Rate], *, all_models: bool = False) -> list[Stretch]:
    """When calls of the models of `rates` (or of all models) have been priced, by the names of the book.

    An account that has rates of its own has stretches of its own; all others are taken together."""
    wanted = {(rate.provider, rate.model) for rate in rates}
    accounts = {"accounts": sorted({rate.account_id for rate in rates} - {""})}
    names = aliases(clickhouse)
    stretches = []
    for account, provider, model, first, last in clickhouse.rows(_PRICED, accounts):
        name = names.get((provider, model), (provider, model))
        if all_models or name in wanted:
            stretches.append(Stretch(account, name[0], name[1], _moment(first), _moment(last) + _QUARTER))
    if any(_free_without_price(rate) for rate in rates):
        for account, plugin, first, last in clickhouse.rows(_FREE, accounts):
            since, until = _moment(first), _moment(last + 1)
            stretches.append(Stretch(account, RESOURCE, "", since, until))
            stretches.append(Stretch(account, PLUGIN, plugin, since, until))
    return stretches


def _moment(second: int) -> datetime:
    return EPOCH + timedelta(seconds=second)


def _free_without_price(rate: Rate) -> bool:
    return rate.provider == RESOURCE or (rate.provider == PLUGIN and rate.unit == INVOCATIONS)


def _units_with_prices(book: Sequence[Rate]) -> dict[tuple[str, str, str], set[str]]:
    """Of each unit of each model, whose accounts have or had a price for it."""
    units: dict[tuple[str, str, str], set[str]] = {}
    for rate in book:
        if rate.usd_per_unit is not None:
            units.setdefault((rate.provider, rate.model, rate.unit), set()).add(rate.account_id)
    return units


def _could_be_priced(rate: Rate, units: Mapping[tuple[str, str, str], set[str]]) -> bool:
    """Whether a call that used the unit can have had a price: by the unit's own, by one whose price it takes, or
    because it costs nothing without one."""
    unit = None if rate.provider in (PLUGIN, RESOURCE) else UNIT.get(rate.unit)
    if _free_without_price(rate) or (unit is not None and not unit.required):
        return True
    whose = {
        account
        for name in (rate.unit, *(unit.prices_of if unit else ()))
        for account in units.get((rate.provider, rate.model, name), ())
    }
    return bool(whose if not rate.account_id else whose & {"", rate.account_id})


def _touches(rate: Rate, until: datetime, stretch: Stretch) -> bool:
    if (rate.provider, rate.model) != (stretch.provider, stretch.model):
        return False
    if rate.account_id and stretch.account_id != rate.account_id:
        return False
    return rate.valid_from < stretch.until and stretch.since < until
