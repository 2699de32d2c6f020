"""`taximeter prices sync`: brings the list prices of the pinned package into the book, as dated rows.

Rows are only appended, in one INSERT, and repeating changes nothing; two at once append equal rows, which count once.
Where an operator has a row of his own for everybody, the package is silent from that instant on. A model that the
package no longer has keeps its prices; a price that it no longer has for a model that it still has, ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from taximeter_consumers.pricing.book import append_rates, read_rates, server_time
from taximeter_consumers.pricing.knowledge import priced_stretches, with_knowledge
from taximeter_consumers.pricing.packaged import ADDED_BY, PACKAGE, packaged_rates, packaged_source
from taximeter_consumers.pricing.rate import Rate, Series

if TYPE_CHECKING:
    from datetime import datetime

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.match import BookName

Kind = Literal["new model", "new price", "changed", "ended"]


@dataclass(frozen=True)
class Change:
    """One row that the book lacks, and the price that it has at that instant so far."""

    kind: Kind
    rate: Rate
    before: Decimal | None


@dataclass(frozen=True)
class Difference:
    """What the package says and the book does not. `overruled`: its rows that an operator's own row stands against."""

    changes: tuple[Change, ...] = ()
    overruled: tuple[Rate, ...] = ()
    vanished: tuple[BookName, ...] = ()

    @property
    def rates(self) -> list[Rate]:
        """The rows to append."""
        return [change.rate for change in self.changes]


def plan_sync(book: Sequence[Rate], packaged: Sequence[Rate]) -> Difference:
    """What has to be appended to `book` so that it says what `packaged` says. Pure."""
    ours = _by_series(rate for rate in book if not rate.account_id)
    theirs = _by_series(packaged)
    models = {(rate.provider, rate.model) for rate in packaged}
    known = {(rate.provider, rate.model) for rate in book if not rate.account_id}
    changes: list[Change] = []
    overruled: list[Rate] = []
    for series in sorted(theirs.keys() | ours.keys()):
        rows = ours.get(series, [])
        if series[1:3] not in models or not (series in theirs or any(map(is_packaged, rows))):
            continue
        for change in _of_series(rows, theirs.get(series, []), new_model=series[1:3] not in known):
            if isinstance(change, Change):
                changes.append(change)
            else:
                overruled.append(change)
    vanished = {(rate.provider, rate.model) for rate in book if is_packaged(rate)} - models
    return Difference(tuple(changes), tuple(overruled), tuple(sorted(vanished)))


def sync(clickhouse: ClickHouse, by: str = ADDED_BY, *, dry_run: bool = False) -> Difference:
    """Appends what the package says and the book does not; with `dry_run` it only says so. Returns the difference."""
    # Also the accounts' own rows: calls that they price may take everybody's price of another unit.
    book = read_rates(clickhouse)
    difference = plan_sync(book, packaged_rates())
    if not difference.changes:
        return difference
    priced = priced_stretches(clickhouse, difference.rates)
    rates = with_knowledge(difference.rates, book, priced, server_time(clickhouse))
    told = [replace(rate, added_by=by) for rate in rates]
    if not dry_run:
        append_rates(clickhouse, told)
    changes = (replace(change, rate=rate) for change, rate in zip(difference.changes, told, strict=True))
    return replace(difference, changes=tuple(changes))


def load_book(clickhouse: ClickHouse) -> int:
    """The first filling of the book: a sync where it has nothing of the package yet. Returns how many rows it added."""
    filled = clickhouse.scalar(
        "SELECT count() FROM stored_prices WHERE startsWith(source, {package:String})", {"package": PACKAGE}
    )
    return 0 if filled else len(sync(clickhouse).changes)


def is_packaged(rate: Rate) -> bool:
    """Whether a row came from the package, of whatever version."""
    return rate.source.startswith(PACKAGE)


def _by_series(rates: Iterable[Rate]) -> dict[Series, list[Rate]]:
    """Rows of each series by their instants; of two for one instant the one that was known last."""
    found: dict[Series, dict[datetime, Rate]] = {}
    for rate in rates:
        rows = found.setdefault(rate.series, {})
        held = rows.get(rate.valid_from)
        if held is None or held.known_from <= rate.known_from:
            rows[rate.valid_from] = rate
    return {series: [rows[start] for start in sorted(rows)] for series, rows in found.items()}


def _of_series(ours: Sequence[Rate], theirs: Sequence[Rate], *, new_model: bool) -> Iterable[Change | Rate]:
    """What one series lacks, in the order of instants; a bare rate is one that the operator overrules."""
    own_from = min((rate.valid_from for rate in ours if not is_packaged(rate)), default=None)
    held = {rate.valid_from: rate.usd_per_unit for rate in ours}
    stated = {rate.valid_from: rate for rate in theirs}
    template = (theirs or ours)[0]
    for start in sorted(stated.keys() | {rate.valid_from for rate in ours if is_packaged(rate)}):
        before = _at(held, start)
        wanted = _at({when: rate.usd_per_unit for when, rate in stated.items()}, start)
        if own_from is not None and start >= own_from:
            if start in stated and wanted != before:
                yield stated[start]
        elif wanted != before:
            source = stated[start].source if start in stated else packaged_source()
            held[start] = wanted
            kind: Kind = "new model" if new_model else "new price" if not ours else "changed"
            rate = replace(template, valid_from=start, usd_per_unit=wanted, source=source)
            yield Change("ended" if wanted is None else kind, rate, before)


def _at(prices: dict[datetime, Decimal | None], moment: datetime) -> Decimal | None:
    start = max((start for start in prices if start <= moment), default=None)
    return None if start is None else prices[start]
