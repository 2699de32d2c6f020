"""The packaged price book and its loading."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.rollups.rows import EPOCH, Sink

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing import load_book, match_new_models
from taximeter_consumers.pricing.book import Rate, append_rates, packaged_rates, read_rates, with_cache_rates
from taximeter_schemas.event import AiUsage, MeterEvent
from taximeter_schemas.uuid7 import compose

HEADER = "provider,model,unit,usd_per_million,valid_from,source"


def test_the_packaged_rates_are_exact_and_unique() -> None:
    """Every price is a positive Decimal, every (provider, model, unit, instant) is there once, with its source."""
    rates = packaged_rates()
    assert len({rate.key for rate in rates}) == len(rates)
    assert all(rate.usd_per_unit is not None and rate.usd_per_unit > 0 and rate.source for rate in rates)


def test_a_missing_cache_price_is_the_input_price_and_says_so() -> None:
    """Reads have their own price from the second instant on; writes never, so they follow the input price."""
    rates = with_cache_rates(
        read_rates(
            [
                HEADER,
                "lab,m,input_tokens,5,2026-01-01T00:00:00Z,s",
                "lab,m,input_tokens,2,2026-02-01T00:00:00Z,s",
                "lab,m,cache_read_tokens,1,2026-02-01T00:00:00Z,s",
            ]
        )
    )
    added = {(rate.unit, rate.valid_from.month): rate for rate in rates[3:]}
    assert {key: rate.usd_per_unit for key, rate in added.items()} == {
        ("cache_read_tokens", 1): Decimal("0.000005"),
        ("cache_write_tokens", 1): Decimal("0.000005"),
        ("cache_write_tokens", 2): Decimal("0.000002"),
    }
    assert all("input price" in rate.source for rate in added.values())


@pytest.mark.integration
def test_loading_appends_only_what_is_not_there(clickhouse: ClickHouse) -> None:
    """A second load adds nothing, and what came back is what was put in, to the last digit."""
    assert load_book(clickhouse) == 0
    stored = clickhouse.rows(
        "SELECT provider, model, unit, toUnixTimestamp64Micro(valid_from), usd_per_unit FROM rates"
    )
    assert {row[:4]: row[4] for row in stored} == {rate.key: rate.usd_per_unit for rate in packaged_rates()}


@pytest.mark.integration
def test_an_unmatched_name_is_looked_up_again_when_the_book_grows(clickhouse: ClickHouse) -> None:
    """No match is remembered and not repeated, until rates are added."""
    event = MeterEvent(
        account_id="a",
        event_id=compose(1, b"0123456789"),
        occurred_at=EPOCH,
        ai=AiUsage(provider="house", model="llm-1", input_tokens=1),
    )
    Sink(clickhouse).store([event])
    assert match_new_models(clickhouse, "true", {}) == 1
    assert match_new_models(clickhouse, "true", {}) == 0
    assert clickhouse.rows("SELECT book_provider, book_model FROM model_aliases") == [("", "")]
    append_rates(
        clickhouse, [Rate("house", "llm-1", "input_tokens", Decimal(1), datetime(2026, 1, 1, tzinfo=UTC), "test")]
    )
    assert match_new_models(clickhouse, "true", {}) == 1
    assert clickhouse.rows("SELECT book_provider, book_model FROM model_aliases") == [("house", "llm-1")]
