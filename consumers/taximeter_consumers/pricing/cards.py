"""The compiled book in ClickHouse: for what events call a model, the situations and cards that `series.py` compiles.

A version of the book is the hash of all its series, so the same rows always give the same version, whoever compiles
them, and a version once stored never changes. Storing it writes cards first and series last, in one block; after a
crash in between the version is not there and is stored again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.pricing.book import read_discounts, read_rates, server_time
from taximeter_consumers.pricing.rate import EPOCH, Discount, Rate, micros
from taximeter_consumers.pricing.series import Card, Entry, compiled
from taximeter_consumers.pricing.units import PLUGIN, RESOURCE

if TYPE_CHECKING:
    from datetime import datetime

    from taximeter_consumers.clickhouse import ClickHouse

Key = tuple[str, str, str]
"""(account or empty for everybody, provider, model), provider and model as in the events."""
Alias = tuple[str, str, str, str]
"""(provider, model) as in the events, (provider, model) as in the book; the latter empty where there is no match."""

# Sums: of two equal rows, as a repeated INSERT leaves them, a XOR would show none. Tuples: the hash of columns of which
# one is null, as where a price ends, would be null and in no sum.
_LOOK: Final = """
SELECT
    (SELECT sum(cityHash64(tuple(*))) FROM stored_prices),
    (SELECT sum(cityHash64(tuple(*))) FROM stored_discounts),
    (SELECT groupBitXor(cityHash64(provider, model, book_provider, book_model)) FROM model_aliases),
    (SELECT groupUniqArray(book_version) FROM stored_price_series),
    (SELECT count() > 0 FROM stored_reprices WHERE step >= 2)
"""
# Rates of models that no event has used yet would only make the book larger.
_IN_USE: Final = (
    "provider IN ('plugin', 'resource') OR (provider, model) IN (SELECT book_provider, book_model FROM model_aliases)"
)
_SERIES_COLUMNS: Final = ("book_version", "account_id", "provider", "model", "entries", "made_at")

# What was compiled last, by what was looked at: a tick a second need not compile a book that has not changed.
_last: dict[tuple[int, int, int, bool], tuple[int, dict[Key, tuple[Entry, ...]]]] = {}


@dataclass(frozen=True)
class Book:
    """A stored version of the compiled book, and which parts of it a query need not ask for."""

    version: int
    has_own: bool = False
    has_plugins: bool = False
    has_resources: bool = False
    has_adjustments: bool = False


def current_book(clickhouse: ClickHouse, *, hindsight: bool = False) -> Book:
    """The book as it stands, compiled and stored. With `hindsight` as if everything had been known from the start."""
    prices, discounts, aliases, versions, has_adjustments = clickhouse.rows(_LOOK)[0]
    looked = (int(prices or 0), int(discounts or 0), int(aliases or 0), hindsight)
    if looked not in _last:
        while len(_last) > 1:
            _last.pop(next(iter(_last)))
        _last[looked] = _compile(clickhouse, hindsight=hindsight)
    version, series = _last[looked]
    if version not in versions:
        _store(clickhouse, version, series)
    return Book(
        version,
        has_own=any(account for account, _, _ in series),
        has_plugins=any(provider == PLUGIN for _, provider, _ in series),
        has_resources=any(provider == RESOURCE for _, provider, _ in series),
        has_adjustments=bool(has_adjustments),
    )


def compile_book(
    aliases: Sequence[Alias], rates: Sequence[Rate], discounts: Sequence[Discount] = ()
) -> dict[Key, tuple[Entry, ...]]:
    """All series of a book. A name without a match has an empty one. Pure."""
    of_model: dict[tuple[str, str], list[Rate]] = {}
    for rate in rates:
        of_model.setdefault((rate.provider, rate.model), []).append(rate)
    pairs = [*aliases, *((*name, *name) for name in of_model if name[0] in (PLUGIN, RESOURCE))]
    reduced: dict[str, list[Discount]] = {}
    for discount in discounts:
        reduced.setdefault(discount.account_id, []).append(discount)
    # Accounts with equal discounts and no price of their own pay the same, so their entries are made once.
    terms = {
        account: tuple(replace(one, account_id="", source="", added_by="") for one in theirs)
        for account, theirs in reduced.items()
    }
    book: dict[Key, tuple[Entry, ...]] = {}
    known: dict[tuple[object, str, str], tuple[Entry, ...]] = {}
    for provider, model, *name in pairs:
        own = of_model.get((name[0], name[1]), [])
        apart = {rate.account_id for rate in own} - {""}
        for account in ["", *sorted(apart.union(reduced) - {""})]:
            at = (account if account in apart else terms.get(account, ""), name[0], name[1])
            if at not in known:
                known[at] = compiled(own, reduced.get(account, ()), account)
            if not account or known[at] != known.get(("", name[0], name[1])):
                book[account, provider, model] = known[at]
    return book


def in_hindsight(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries as if all that is known by now had been known from the start."""
    return tuple(replace(entry, known_from=EPOCH) for entry in entries if entry.known_from == entries[0].known_from)


def version_of(series: Mapping[Key, Sequence[Entry]]) -> int:
    """The version of a book: 63 bits of the hash of its series, so that it fits wherever a number does."""
    digest = hashlib.sha256()
    for key in sorted(series):
        digest.update(repr((key, [_stored(entry) for entry in series[key]])).encode())
    return int.from_bytes(digest.digest()[:8], "big") >> 1 or 1


def _compile(clickhouse: ClickHouse, *, hindsight: bool) -> tuple[int, dict[Key, tuple[Entry, ...]]]:
    aliases: list[Any] = clickhouse.rows("SELECT provider, model, book_provider, book_model FROM model_aliases")
    book = compile_book(aliases, read_rates(clickhouse, _IN_USE), read_discounts(clickhouse))
    if hindsight:
        book = {key: in_hindsight(entries) for key, entries in book.items()}
    return version_of(book), book


def _store(clickhouse: ClickHouse, version: int, series: Mapping[Key, Sequence[Entry]]) -> None:
    now = server_time(clickhouse)
    cards: dict[int, Card] = {entry.card.card_id: entry.card for entries in series.values() for entry in entries}
    if cards:
        rows = [(card_id, dict(card.usd_per_unit), now) for card_id, card in cards.items()]
        clickhouse.insert("stored_price_cards", ("card_id", "usd_per_unit", "made_at"), rows)
    # A book without any series is stored as well, so that it is known to be compiled.
    keys: Sequence[Key] = sorted(series) or [("", "", "")]
    entries = [(version, *key, [_row(entry) for entry in series.get(key, ())], now) for key in keys]
    clickhouse.insert("stored_price_series", _SERIES_COLUMNS, entries)


def _row(entry: Entry) -> tuple[datetime, datetime, str, int, int, int, int]:
    return (
        entry.known_from,
        entry.valid_from,
        entry.service_tier,
        entry.window_start,
        entry.window_end,
        entry.above_input_tokens,
        entry.card.card_id,
    )


def _stored(entry: Entry) -> tuple[object, ...]:
    return (micros(entry.known_from), micros(entry.valid_from), *_row(entry)[2:])
