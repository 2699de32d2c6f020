"""The compiled price book in memory, in the version that the rollups were last brought up to.

A version never changes once it is stored, so what is read of it is kept: for each name that events call a model, the
entries of everybody and of accounts with their own. A tick with other prices makes another version; of old ones the
last few are kept. Threads share it; two of them may read the same names at once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.pricing.cards import Book
from taximeter_consumers.pricing.series import Card, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taximeter_consumers.clickhouse import ClickHouse

Name = tuple[str, str]
"""(provider, model) as in the events."""

_CURRENT: Final = """
SELECT
    (SELECT argMax(book_version, (tick, rolled_up_at)) FROM stored_book_versions),
    (SELECT count() > 0 FROM stored_reprices WHERE step >= 2)
"""
_PARTS: Final = """
SELECT countIf(account_id != '') > 0, countIf(provider = 'plugin') > 0, countIf(provider = 'resource') > 0
FROM stored_price_series WHERE book_version = {version:UInt64}
"""
_NAMED: Final = "book_version = {version:UInt64} AND (provider, model) IN {names:Array(Tuple(String, String))}"
_SERIES: Final = f"SELECT account_id, toString(provider), model, entries FROM stored_price_series FINAL WHERE {_NAMED}"  # noqa: S608 - our own text
_CARDS: Final = f"""
SELECT card_id, usd_per_unit FROM price_cards
WHERE card_id IN (SELECT arrayJoin(entries).7 FROM stored_price_series WHERE {_NAMED})
"""  # noqa: S608 - our own text
_MOST_VERSIONS: Final = 3
_MOST_NAMES: Final = 10_000


@dataclass
class Sheets:
    """One version: `entries` by account (empty: everybody), provider and model; names that were looked up."""

    book: Book
    entries: dict[tuple[str, str, str], tuple[Entry, ...]] = field(default_factory=dict)
    names: set[Name] = field(default_factory=set)

    def of(self, account: str, name: Name) -> tuple[Entry, ...]:
        """The entries that an account's event looks at: its own where it has some. Times in them are UTC, bare."""
        own = self.entries.get((account, *name))
        return self.entries.get(("", *name), ()) if own is None else own


class Books:
    """The versions that were asked for."""

    def __init__(self) -> None:
        self._sheets: OrderedDict[int, Sheets] = OrderedDict()
        self._lock = Lock()

    def current(self, clickhouse: ClickHouse) -> Sheets:
        """The book of the rollups as they stand."""
        version, has_adjustments = clickhouse.rows(_CURRENT)[0]
        version = int(version or 0)
        with self._lock:
            known = self._sheets.get(version)
        if known is not None and known.book.has_adjustments == bool(has_adjustments):
            return known
        own, plugins, resources = clickhouse.rows(_PARTS, {"version": version})[0]
        sheets = Sheets(Book(version, bool(own), bool(plugins), bool(resources), bool(has_adjustments)))
        with self._lock:
            self._sheets[version] = sheets
            while len(self._sheets) > _MOST_VERSIONS:
                self._sheets.popitem(last=False)
        return sheets

    def read(self, clickhouse: ClickHouse, sheets: Sheets, names: Iterable[Name]) -> None:
        """Reads the entries of names that were not looked up before."""
        with self._lock:
            if len(sheets.names) > _MOST_NAMES:
                sheets.names.clear()
                sheets.entries.clear()
            fresh = sorted(set(names) - sheets.names)
        if not fresh:
            return
        asked = {"version": sheets.book.version, "names": fresh}
        cards = {card_id: Card(prices) for card_id, prices in clickhouse.rows(_CARDS, asked)}
        found = {
            (account, provider, model): tuple(_entry(row, cards) for row in rows)
            for account, provider, model, rows in clickhouse.rows(_SERIES, asked)
        }
        with self._lock:
            sheets.entries.update(found)
            sheets.names.update(fresh)


def _entry(row: Any, cards: dict[int, Card]) -> Entry:
    known_from, valid_from, tier, start, end, above, card_id = row.values() if isinstance(row, dict) else row
    return Entry(known_from, valid_from, tier, start, end, above, cards[card_id])
