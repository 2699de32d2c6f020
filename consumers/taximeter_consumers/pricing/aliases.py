"""Names that events call models by, each matched to the price book once and kept in `stored_model_aliases`.

What found no match is kept too, with empty names, and looked up again once the book has grown. Matching is pure and
its result is overwritten by equal rows, so repeats and two aggregators at once do no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.pricing.book import server_time
from taximeter_consumers.pricing.match import BookName, match

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from taximeter_consumers.clickhouse import ClickHouse

_COLUMNS: Final = ("provider", "model", "book_provider", "book_model", "matched_at")

_NEW: Final = """
SELECT DISTINCT provider, model FROM stored_events
WHERE {rows} AND usage_type != '' AND (provider, model) NOT IN (SELECT provider, model FROM stored_model_aliases)
"""
_UNMATCHED: Final = """
SELECT provider, model FROM model_aliases
WHERE book_model = '' AND matched_at <= (SELECT max(added_at) FROM stored_prices)
"""
_MATCHED: Final = "SELECT provider, model, book_provider, book_model FROM model_aliases WHERE book_model != ''"
_BOOK: Final = "SELECT DISTINCT provider, model FROM stored_prices WHERE provider NOT IN ('plugin', 'resource')"


def match_new_models(clickhouse: ClickHouse, rows: str, parameters: Mapping[str, Any]) -> int:
    """Matches the pairs of the events in `rows` (a condition on stored_events) that have no alias yet, and those
    without a match if rates were added since. Returns how many pairs were looked up."""
    pairs = clickhouse.rows(_NEW.replace("{rows}", rows), parameters)
    return _match_all(clickhouse, {*pairs, *clickhouse.rows(_UNMATCHED)})


def rematch_models(clickhouse: ClickHouse) -> int:
    """Matches every known pair again, for a book that has come to know a name better. Returns how many."""
    return _match_all(clickhouse, clickhouse.rows("SELECT provider, model FROM model_aliases"))


def book_names(clickhouse: ClickHouse) -> set[BookName]:
    """Every model of the book, (provider, model), whoever has a price for it."""
    return set(clickhouse.rows(_BOOK))


def aliases(clickhouse: ClickHouse) -> dict[BookName, BookName]:
    """What events call a model -> its name in the book, of all pairs that have a match."""
    rows = clickhouse.rows(_MATCHED)
    return {(provider, model): (book_provider, book_model) for provider, model, book_provider, book_model in rows}


def _match_all(clickhouse: ClickHouse, pairs: Iterable[tuple[str, str]]) -> int:
    todo = sorted(pairs)
    if not todo:
        return 0
    # Taken before the book is read: a rate added in between leads to one look-up more, never to one less.
    now = server_time(clickhouse)
    book = book_names(clickhouse)
    found = [(provider, model, *(match(provider, model, book) or ("", "")), now) for provider, model in todo]
    clickhouse.insert("stored_model_aliases", _COLUMNS, found)
    return len(found)
