"""`taximeter prices` and `taximeter estimate`, as their users call them."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
import typer
from tests.cli.conftest import Taximeter

from taximeter_infra.cli.price_words import parse_per, parse_usd, parse_window, shown_price
from taximeter_schemas.settings import ClickHouseSettings


@pytest.mark.parametrize(
    ("text", "unit", "count"),
    [
        ("1M", "input_tokens", 10**6),
        ("1000", "images", 1_000),
        ("1.5K", "images", 1_500),
        ("1GB", "http_bytes_out", 10**9),
        ("3600s", "cpu_us", 3_600_000_000),
        ("1h", "audio_ms", 3_600_000),
        ("1min", "audio_ms", 60_000),
    ],
)
def test_counts_are_read_as_people_write_them(text: str, unit: str, count: int) -> None:
    """Numbers with a letter, bytes, and times of units of time."""
    assert parse_per(text, unit) == count


@pytest.mark.parametrize("text", ["", "many", "1 h", "-1M", "1s"])
def test_counts_that_cannot_be_read_are_refused(text: str) -> None:
    """Times go with units of time only."""
    with pytest.raises(typer.BadParameter):
        parse_per(text, "input_tokens")


def test_windows_do_not_wrap() -> None:
    """Hours around midnight are two; all day is one; what is no time is refused."""
    assert parse_window("00:30-16:30") == ((1_800, 59_400),)
    assert parse_window("22:00-06:00") == ((0, 21_600), (79_200, 86_400))
    assert parse_window("16:00-24:00") == ((57_600, 86_400),)
    assert parse_window("22:00-00:00") == ((79_200, 86_400),)
    assert parse_window(None) == ((0, 86_400),)
    for text in ("", "10:00", "10:00-10:00", "25:00-26:00", "10:60-11:00"):
        with pytest.raises(typer.BadParameter):
            parse_window(text)


def test_prices_are_shown_at_a_readable_number() -> None:
    """The shortest amount that is this very price, never rounded for people."""
    assert shown_price("openai", "input_tokens", Decimal("0.0000025")) == "$2.50 per 1M tokens"
    assert shown_price("deepseek", "input_tokens", Decimal("0.000000003625")) == "$0.003625 per 1M tokens"
    assert shown_price("openai", "audio_ms", Decimal("0.0000001")) == "$0.006 per minute of audio"
    assert shown_price("resource", "cpu_us", Decimal("0.000000000013888889")) == "$0.05 per hour of CPU time"
    assert shown_price("plugin", "pages", Decimal("1234.5")) == "$1,234.50 per pages"
    assert shown_price("openai", "images", None) == "no price"
    assert parse_usd("$1,234.50") == Decimal("1234.50")
    for text in ("x", "-1", "NaN"):
        with pytest.raises(typer.BadParameter):
            parse_usd(text)


@pytest.mark.integration
def test_an_operators_day_with_the_book(taximeter: Taximeter, on_clickhouse: ClickHouseSettings) -> None:
    """Migrate fills the book; it is listed, shown, added to, checked, and prices a call; every answer as JSON too."""
    assert "rates to the price book" in taximeter("migrate").stdout
    assert taximeter("prices", "sync", "--dry-run").stdout == "the book says all that the package says\n"
    assert json.loads(taximeter("prices", "sync", "--json").stdout)["appended"] == []
    listed = taximeter("prices", "list", "--provider", "deepseek", "--limit", "2").stdout
    assert "deepseek-chat" in listed
    assert "name a provider, or --limit" in listed
    shown = taximeter("prices", "show", "openai", "gpt-4o-2024-08-06").stdout
    assert "$2.50 per 1M tokens" in shown
    assert "openai/gpt-4o (here: openai/gpt-4o-2024-08-06)" in shown
    words = ("prices", "set", "openai", "gpt-4o", "--unit", "input_tokens", "--usd", "2", "--per", "1M")
    dry = taximeter(*words, "--account", "acme", "--from", "2026-01-01", "--dry-run", "--json")
    (row,) = json.loads(dry.stdout)["appended"]
    assert (row["usd_per_unit"], row["account_id"], row["price"]) == ("0.000002", "acme", "$2.00 per 1M tokens")
    assert "would append" in taximeter(*words, "--dry-run").stdout
    assert taximeter(*words, "--account", "acme", "--from", "2026-01-01", "--by", "ops").exit_code == 0
    assert taximeter("prices", "discount", "acme", "50", "--provider", "openai", "--from", "2026-01-01").exit_code == 0
    ask = ("estimate", "openai", "gpt-4o", "--input-tokens", "1000000", "--output-tokens", "100000", "--json")
    assert json.loads(taximeter(*ask).stdout)["cost_usd"] == "3.5"
    assert json.loads(taximeter(*ask, "--account", "acme").stdout)["cost_usd"] == "2.5"
    assert "$3.5 by the prices of openai/gpt-4o" in taximeter(*ask[:-1]).stdout
    told = json.loads(taximeter("prices", "show", "openai", "gpt-4o", "--account", "acme", "--json").stdout)
    assert [one["percent"] for one in told["discounts"]] == ["50"]
    assert taximeter("prices", "check").exit_code == 0
    assert json.loads(taximeter("prices", "unmatched", "--json").stdout) == {"unmatched": []}
    assert "has a price" in taximeter("prices", "unmatched").stdout


@pytest.mark.integration
def test_what_is_wrong_is_said_with_its_mend(taximeter: Taximeter, on_clickhouse: ClickHouseSettings) -> None:
    """A model under a second name, an unknown one, a unit that none counts, a free price, a price that is lacking."""
    taximeter("migrate")
    words = ("--unit", "input_tokens", "--usd", "0", "--per", "1M")
    second = taximeter("prices", "set", "openai", "gpt-4o-2024-08-06", *words)
    assert (second.exit_code, "set the price of openai gpt-4o" in second.stderr) == (1, True)
    unknown = taximeter("estimate", "openai", "gpt-4p", "--input-tokens", "1")
    assert (unknown.exit_code, "openai/gpt-4o" in unknown.stderr) == (1, True)
    assert taximeter("prices", "set", "openai", "gpt-4o", "--unit", "tokens", *words[2:]).exit_code == 1
    assert taximeter("prices", "set", "openai", "gpt-4o", *words[:4]).exit_code == 2
    assert taximeter("prices", "set", "house", "llm-1", *words).exit_code == 0
    odd = taximeter("prices", "check", "--json")
    assert (odd.exit_code, [one["kind"] for one in json.loads(odd.stdout)["findings"]]) == (3, ["zero"])
    lacking = taximeter("estimate", "openai", "gpt-4o", "--unit", "images=2")
    assert (lacking.exit_code, "no price for images" in lacking.stdout) == (3, True)
