"""What is odd about the price book: findings for people, each with its mend. Pure; nothing is judged right by it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations, groupby
from typing import Final

from taximeter_consumers.pricing.match import BookName
from taximeter_consumers.pricing.rate import EPOCH, Rate
from taximeter_consumers.pricing.sync import Difference, is_packaged
from taximeter_consumers.pricing.units import PLUGIN, RESOURCE, RESOURCE_UNIT, UNIT

STALE_DAYS: Final = 60
"""List prices change every few weeks; a book whose newest change is older than this lacks some."""


@dataclass(frozen=True)
class Finding:
    """One oddity. `kind` is a word for machines, `what` a sentence for people."""

    kind: str
    account_id: str
    provider: str
    model: str
    what: str
    mend: str


def check_book(
    rates: Sequence[Rate],
    aliases: Mapping[BookName, BookName],
    deprecated: Collection[BookName],
    now: datetime,
    stale_days: int = STALE_DAYS,
) -> list[Finding]:
    """All findings, in the order of rows."""
    found = [finding for rate in rates for finding in _of_row(rate)]
    for _, rows in groupby(sorted(rates, key=_no_window), key=_no_window):
        found += _overlaps(list(rows))
    for _, rows in groupby(sorted(rates, key=lambda rate: (rate.series, rate.valid_from)), key=lambda one: one.series):
        found += _gaps(list(rows))
    found += _unknown_to_all(rates, set(aliases.values()))
    found += _deprecated(aliases, deprecated)
    found += _stale(rates, now, stale_days)
    return found


def check_difference(difference: Difference) -> list[Finding]:
    """What a sync would append, as one finding."""
    if not difference.changes:
        return []
    what = f"the installed package says {len(difference.changes):,} prices that the book does not"
    return [Finding("behind", "", "", "", what, "`taximeter prices sync --dry-run`, then `taximeter prices sync`")]


def _of_row(rate: Rate) -> Iterator[Finding]:
    if rate.usd_per_unit is not None and rate.usd_per_unit < 0:
        yield _finding("negative", rate, "a price below zero: calls would earn money", "set the right one")
    if rate.usd_per_unit == 0 and not is_packaged(rate):
        yield _finding("zero", rate, "is free", "if it is not, set its price; if it is, all is well")
    known = {RESOURCE: RESOURCE_UNIT, PLUGIN: None}.get(rate.provider, UNIT)
    if known is not None and rate.unit not in known:
        yield _finding("unknown unit", rate, "no call ever counts this unit", f"use one of {', '.join(known)}")
    if rate.provider == RESOURCE and rate.model:
        yield _finding("unknown model", rate, "resources have no model, so nothing finds this price", "set it without")


def _no_window(rate: Rate) -> tuple[object, ...]:
    return rate.account_id, rate.provider, rate.model, rate.unit, rate.service_tier, rate.above_input_tokens


def _overlaps(rates: Sequence[Rate]) -> Iterator[Finding]:
    """Windows that overlap in part: at some hours it is not plain which of two prices was meant."""
    windows = {(rate.window_start, rate.window_end): rate for rate in rates if not rate.all_day}
    for (first, rate), (second, _) in combinations(sorted(windows.items(), key=lambda item: item[0]), 2):
        if second[0] < first[1]:
            what = f"windows {_clock(first)} and {_clock(second)} overlap; the shorter one counts"
            yield _finding("overlapping windows", rate, what, "set one of them to end where the other begins")


def _gaps(rows: Sequence[Rate]) -> Iterator[Finding]:
    """A price that is withdrawn and comes back: calls in between may be unpriced."""
    latest = {row.valid_from: row for row in rows}
    timeline = [latest[start] for start in sorted(latest)]
    for index, row in enumerate(timeline[1:-1], start=1):
        before, after = timeline[index - 1], timeline[index + 1]
        if row.usd_per_unit is None and before.usd_per_unit is not None and after.usd_per_unit is not None:
            what = f"no price from {row.valid_from:%Y-%m-%d} until {after.valid_from:%Y-%m-%d}"
            yield _finding(
                "gap", row, what, f"set one --from {row.valid_from:%Y-%m-%d} --to {after.valid_from:%Y-%m-%d}"
            )


def _unknown_to_all(rates: Sequence[Rate], matched: Collection[BookName]) -> Iterator[Finding]:
    """Prices of single accounts for models that neither the book nor any event knows."""
    everybodys = {(rate.provider, rate.model) for rate in rates if not rate.account_id}
    told = set()
    for rate in rates:
        name = (rate.provider, rate.model)
        if not rate.account_id or rate.provider in (PLUGIN, RESOURCE) or name in everybodys or name in matched:
            continue
        if (rate.account_id, name) not in told:
            told.add((rate.account_id, name))
            mend = "look at the spelling: `taximeter prices list`, `taximeter prices unmatched`"
            yield _finding("unknown model", rate, "the account has a price for a model that nothing has called", mend)


def _deprecated(aliases: Mapping[BookName, BookName], deprecated: Collection[BookName]) -> Iterator[Finding]:
    for (provider, model), name in sorted(aliases.items()):
        if name in deprecated:
            what = f"calls of {provider}/{model} are priced as {name[0]}/{name[1]}, which its provider gives up"
            yield Finding("deprecated", "", *name, what, "move to another model before it ends")


def _stale(rates: Iterable[Rate], now: datetime, days: int) -> Iterator[Finding]:
    newest = max((rate.valid_from for rate in rates if is_packaged(rate) and rate.valid_from <= now), default=EPOCH)
    if newest == EPOCH:
        yield Finding("empty", "", "", "", "the book has no list prices", "`taximeter prices sync`")
    elif now - newest > timedelta(days=days):
        what = f"the newest change of a list price is of {newest:%Y-%m-%d}, {(now - newest).days} days ago"
        mend = "install a release of taximeter with a newer price package, then `taximeter prices sync`"
        yield Finding("old", "", "", "", what, mend)


def _finding(kind: str, rate: Rate, what: str, mend: str) -> Finding:
    where = f"{rate.unit}{'' if rate.service_tier == 'standard' else f' ({rate.service_tier})'}"
    return Finding(kind, rate.account_id, rate.provider, rate.model, f"{where}: {what}", mend)


def _clock(window: tuple[int, int]) -> str:
    return "-".join(f"{second // 3600:02}:{second // 60 % 60:02}" for second in window)
