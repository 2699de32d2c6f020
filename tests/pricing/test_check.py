"""What `prices check` finds odd, and what it lets pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from taximeter_consumers.pricing.check import check_book, check_difference
from taximeter_consumers.pricing.packaged import packaged_rates
from taximeter_consumers.pricing.rate import Rate
from taximeter_consumers.pricing.sync import plan_sync

NOW = datetime(2026, 11, 22, tzinfo=UTC)
MAY, JUNE = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
LIST = Rate("lab", "m", "input_tokens", Decimal(1), NOW, "genai-prices 1")


def kinds(*rates: Rate, **given: object) -> list[str]:
    """The kinds of findings about a book of these rates and one fresh list price."""
    aliases = given.get("aliases", {})
    assert isinstance(aliases, dict)
    return [one.kind for one in check_book([LIST, *rates], aliases, {("lab", "old")}, NOW)]


def test_the_packaged_book_has_nothing_odd() -> None:
    """List prices alone give no finding, and a sync has nothing to add to them."""
    rates = packaged_rates()
    assert check_book(rates, {}, set(), NOW) == []
    assert check_difference(plan_sync(rates, rates)) == []


def test_rows_that_cannot_be_meant() -> None:
    """Below zero, a unit that nothing counts, a resource with a model; a free price of one's own is asked about."""
    assert kinds(replace(LIST, usd_per_unit=Decimal(-1))) == ["negative"]
    assert kinds(replace(LIST, unit="input_token")) == ["unknown unit"]
    assert kinds(Rate("resource", "x", "cpu_us", Decimal(1))) == ["unknown model"]
    assert kinds(Rate("resource", "", "cpu", Decimal(1))) == ["unknown unit"]
    assert kinds(Rate("plugin", "pdf", "pages", Decimal(0), source="ops")) == ["zero"]
    assert kinds(Rate("plugin", "pdf", "pages", Decimal(1), source="ops")) == []


def test_windows_that_overlap() -> None:
    """Two windows of one price that share hours are found; neighbours, other tiers and all day are not."""
    night = replace(LIST, window_start=0, window_end=21_600)
    assert kinds(night, replace(LIST, window_start=18_000, window_end=30_000)) == ["overlapping windows"]
    assert kinds(night, replace(LIST, window_start=21_600, window_end=30_000)) == []
    assert kinds(night, replace(LIST, window_start=18_000, window_end=30_000, service_tier="batch")) == []


def test_a_price_that_comes_back_leaves_a_gap() -> None:
    """Withdrawn and set again is a gap with its mend; withdrawn for good is none."""
    rows = [replace(LIST, valid_from=when, usd_per_unit=usd) for when, usd in ((MAY, Decimal(1)), (JUNE, None))]
    (gap,) = [one for one in check_book([*rows, LIST], {}, set(), NOW) if one.kind == "gap"]
    assert "--from 2026-06-01 --to 2026-11-22" in gap.mend
    assert kinds(*(replace(row, model="n") for row in rows)) == []


def test_prices_of_accounts_for_models_that_nobody_knows() -> None:
    """A misspelt model is found once, one that events use or the book has is not."""
    rows = [replace(LIST, account_id="acme", model="mm", unit=unit) for unit in ("input_tokens", "output_tokens")]
    assert kinds(*rows) == ["unknown model"]
    assert kinds(*rows, aliases={("lab", "mm-1"): ("lab", "mm")}) == []
    assert kinds(replace(LIST, account_id="acme")) == []


def test_models_that_end_and_books_that_are_old() -> None:
    """Calls of a model that its provider gives up, a book without list prices, one whose newest price is old."""
    assert kinds(aliases={("lab", "old-1"): ("lab", "old")}) == ["deprecated"]
    assert [one.kind for one in check_book([], {}, set(), NOW)] == ["empty"]
    assert [one.kind for one in check_book([replace(LIST, valid_from=MAY)], {}, set(), NOW)] == ["old"]
    assert [one.kind for one in check_difference(plan_sync([], [LIST]))] == ["behind"]
