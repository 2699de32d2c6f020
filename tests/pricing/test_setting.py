"""Prices that an operator sets: the rows they make, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from taximeter_consumers.pricing.rate import EPOCH, Rate
from taximeter_consumers.pricing.setting import Wish, checked_name, checked_unit, planned, usd_per_unit
from taximeter_schemas.errors import Misconfigured

MAY, JUNE, JULY = (datetime(2026, month, 1, tzinfo=UTC) for month in (5, 6, 7))
RATE = Rate("openai", "gpt-4o", "input_tokens", Decimal(2), MAY, "contract", account_id="acme")
BOOK = {("openai", "gpt-4o"), ("house", "llm-1")}


def rows(wish: Wish, *series: Rate) -> list[tuple[datetime, Decimal | None]]:
    """Instants and prices of what a wish makes."""
    return [(rate.valid_from, rate.usd_per_unit) for rate in planned(wish, series)]


def test_a_price_without_an_end_is_one_row() -> None:
    """Whatever the series has later stays as it is."""
    assert rows(Wish(RATE), replace(RATE, valid_from=JUNE)) == [(MAY, Decimal(2))]


def test_a_price_with_an_end_holds_until_then_and_gives_way_to_what_was() -> None:
    """Rows of the series in between are said again with the price, and the old one comes back at the end."""
    held = [replace(RATE, valid_from=EPOCH, usd_per_unit=Decimal(7)), replace(RATE, valid_from=JUNE, usd_per_unit=None)]
    assert rows(Wish(RATE, JULY), *held) == [(MAY, Decimal(2)), (JUNE, Decimal(2)), (JULY, None)]
    assert rows(Wish(RATE, JUNE), held[0]) == [(MAY, Decimal(2)), (JUNE, Decimal(7))]
    assert rows(Wish(RATE, JUNE), *held) == [(MAY, Decimal(2))]
    other = replace(held[0], service_tier="batch")
    assert rows(Wish(RATE, JUNE), other) == [(MAY, Decimal(2)), (JUNE, None)]


def test_each_window_has_rows_of_its_own() -> None:
    """Hours around midnight are two windows."""
    wish = Wish(RATE, windows=((0, 21_600), (79_200, 86_400)))
    assert [(rate.window_start, rate.window_end) for rate in planned(wish, [])] == [(0, 21_600), (79_200, 86_400)]


def test_a_price_is_exact_or_says_that_it_is_rounded() -> None:
    """Per million exact; an hour of microseconds rounded at the 18th place; a plugin's beyond 9 places refused."""
    assert usd_per_unit(Decimal("2.5"), Decimal(10**6), "openai") == (Decimal("0.0000025"), False)
    assert usd_per_unit(Decimal("0.05"), Decimal(3_600_000_000), "resource") == (Decimal("0.000000000013888889"), True)
    assert usd_per_unit(Decimal("0.002"), Decimal(1_000), "plugin") == (Decimal("0.000002"), False)
    with pytest.raises(Misconfigured, match="9 decimal places"):
        usd_per_unit(Decimal("0.01"), Decimal(3), "plugin")
    with pytest.raises(Misconfigured, match="no units"):
        usd_per_unit(Decimal(1), Decimal(0), "openai")


def test_names_are_those_of_the_book_or_new() -> None:
    """A second name of a known model is refused with the one to use; resources have none; a plugin may be any."""
    assert checked_name("openai", "gpt-4o", BOOK) == (("openai", "gpt-4o"), False)
    assert checked_name("house", "llm-2", BOOK) == (("house", "llm-2"), True)
    assert checked_name("plugin", "pdf", BOOK) == (("plugin", "pdf"), False)
    assert checked_name("resource", "", BOOK) == (("resource", ""), False)
    with pytest.raises(Misconfigured, match="as openai/gpt-4o"):
        checked_name("openai", "gpt-4o-2024-08-06", BOOK)
    for provider, model in (("resource", "x"), ("openai", "")):
        with pytest.raises(Misconfigured):
            checked_name(provider, model, BOOK)


def test_units_are_those_that_are_counted() -> None:
    """A model's and a resource's are known; a plugin names its own."""
    assert checked_unit("openai", "cache_write_1h_tokens") == "cache_write_1h_tokens"
    assert checked_unit("plugin", "anything") == "anything"
    for provider, unit in (("openai", "cpu_us"), ("resource", "input_tokens")):
        with pytest.raises(Misconfigured, match="use one of"):
            checked_unit(provider, unit)
