"""The book in ClickHouse: its first filling, its growth, and what events call its models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.rollups.rows import EPOCH, Sink

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.pricing import rate as rates_module
from taximeter_consumers.pricing.aliases import match_new_models
from taximeter_consumers.pricing.book import append_rates, read_discounts, read_rates
from taximeter_consumers.pricing.estimate import Call, UnknownModel, estimate, list_models
from taximeter_consumers.pricing.packaged import packaged_rates
from taximeter_consumers.pricing.rate import Discount, Rate
from taximeter_consumers.pricing.setting import Wish, set_discount, set_price
from taximeter_consumers.pricing.sync import load_book, sync
from taximeter_consumers.pricing.unpriced import unpriced
from taximeter_schemas.event import AiUsage, MeterEvent
from taximeter_schemas.settings import ClickHouseSettings
from taximeter_schemas.uuid7 import compose

pytestmark = pytest.mark.integration

BEGINNING = rates_module.EPOCH


@pytest.fixture
def clickhouse(clickhouse_settings: ClickHouseSettings) -> Iterator[ClickHouse]:
    """A migrated database with the whole packaged book, loaded as commands load it."""
    connection = connect(clickhouse_settings)
    try:
        assert load_book(connection) == len(packaged_rates())
        yield connection
    finally:
        connection.close()


def call(number: int, provider: str = "house", model: str = "llm-1") -> MeterEvent:
    """A call of a model."""
    return MeterEvent(
        account_id="a",
        event_id=compose(int(EPOCH.timestamp() * 1000) + number, b"0123456789"),
        occurred_at=EPOCH + timedelta(seconds=number),
        ai=AiUsage(provider=provider, model=model, input_tokens=10),
    )


def charge(clickhouse: ClickHouse, source: str, provider: str, model: str, unit: str, account: str = "a") -> None:
    """A charge as a tick writes it, in the first quarter after the epoch of the tests."""
    columns = ("account_id", "quarter", "provider", "model", "unit", "source", "events", "quantity", "version")
    row = (account, EPOCH, provider, model, unit, source, 3, Decimal(30), 1)
    clickhouse.insert("stored_charges", columns, [row])


def alias(clickhouse: ClickHouse, provider: str, model: str, name: tuple[str, str]) -> None:
    """What events call a model of the book."""
    columns = ("provider", "model", "book_provider", "book_model", "matched_at")
    clickhouse.insert("stored_model_aliases", columns, [(provider, model, *name, EPOCH)])


def test_the_first_filling_is_the_package_and_happens_once(clickhouse: ClickHouse) -> None:
    """What came back is what was put in, to the last digit; loading and syncing again append nothing."""
    assert load_book(clickhouse) == 0
    assert sync(clickhouse).changes == ()
    assert sorted(read_rates(clickhouse), key=repr) == sorted(packaged_rates(), key=repr)


def test_two_first_fillings_at_once_are_one(clickhouse: ClickHouse) -> None:
    """Equal rows count once, so a second filling that saw an empty book does no harm."""
    append_rates(clickhouse, packaged_rates())
    assert len(read_rates(clickhouse)) == len(packaged_rates())


def test_an_unmatched_name_is_looked_up_again_when_the_book_grows(clickhouse: ClickHouse) -> None:
    """No match is remembered and not repeated, until rates are added."""
    Sink(clickhouse).store([call(1)])
    assert match_new_models(clickhouse, "true", {}) == 1
    assert match_new_models(clickhouse, "true", {}) == 0
    assert clickhouse.rows("SELECT book_provider, book_model FROM model_aliases") == [("", "")]
    append_rates(clickhouse, [Rate("house", "llm-1", "input_tokens", Decimal(1), source="test")])
    assert match_new_models(clickhouse, "true", {}) == 1
    assert clickhouse.rows("SELECT book_provider, book_model FROM model_aliases") == [("house", "llm-1")]


def test_a_new_list_price_leaves_what_was_priced(clickhouse: ClickHouse) -> None:
    """Where charges of a model were priced the appended row is known from now on; of an unused model, from ever."""
    touched = [rate for rate in packaged_rates() if rate.series[1:4] == ("openai", "gpt-4o", "input_tokens")]
    alias(clickhouse, "openai", "gpt-4o-2024-08-06", ("openai", "gpt-4o"))
    charge(clickhouse, "priced", "openai", "gpt-4o-2024-08-06", "input_tokens")
    unused = next(rate for rate in packaged_rates() if rate.series[1:4] == ("openai", "o3-mini", "input_tokens"))
    older = [replace(rate, usd_per_unit=Decimal(9), source="genai-prices 0.0.1") for rate in (*touched, unused)]
    append_rates(clickhouse, older)
    plan = sync(clickhouse, dry_run=True)
    done = sync(clickhouse)
    assert [change.rate.series for change in plan.changes] == [change.rate.series for change in done.changes]
    known = {(change.rate.model, change.rate.service_tier): change.rate.known_from for change in done.changes}
    assert known["gpt-4o", "standard"].year >= 2026
    assert known["o3-mini", "standard"] - BEGINNING == timedelta(microseconds=1)
    assert sync(clickhouse).changes == ()


def test_setting_a_price_says_what_it_touches(clickhouse: ClickHouse) -> None:
    """A model without a price: its stored calls are counted, and priced by the next tick. Once they have been priced,
    a further price is known from now on."""
    Sink(clickhouse).store([call(1), call(2), call(3, "openai", "gpt-4o")])
    match_new_models(clickhouse, "true", {})
    wish = Wish(Rate("house", "llm-1", "input_tokens", Decimal("0.5"), EPOCH, "contract"))
    names = {("openai", "gpt-4o")}
    dry = set_price(clickhouse, wish, names, dry_run=True)
    assert (dry.touched, dry.keeps, dry.new) == (2, False, True)
    assert read_rates(clickhouse, "provider = 'house'") == []
    first = set_price(clickhouse, wish, names, dry_run=False)
    assert [rate.known_from for rate in first.rates] == [BEGINNING]
    match_new_models(clickhouse, "true", {})
    charge(clickhouse, "priced", "house", "llm-1", "input_tokens")
    again = Wish(replace(wish.rate, usd_per_unit=Decimal(1)))
    second = set_price(clickhouse, again, names | {("house", "llm-1")}, dry_run=False)
    assert (second.touched, second.keeps, second.new) == (2, True, False)
    assert len(read_rates(clickhouse, "provider = 'house'")) == 2


def test_a_first_price_for_cpu_time_leaves_what_has_run(clickhouse: ClickHouse) -> None:
    """It was free, so calls that arrived before stay free; what runs later pays."""
    Sink(clickhouse).store([call(1)])
    rate = Rate("resource", "", "cpu_us", Decimal("0.000000000013888889"), EPOCH, "ops")
    outcome = set_price(clickhouse, Wish(rate), set(), dry_run=False)
    assert (outcome.touched, outcome.keeps) == (1, True)


def test_a_discount_is_known_from_now_where_calls_were_priced(clickhouse: ClickHouse) -> None:
    """For an account with priced calls in its time from now on, for another from ever; a second one is a row more."""
    charge(clickhouse, "priced", "openai", "gpt-4o", "input_tokens")
    asked = Discount("a", Decimal("12.5"), "openai", valid_from=EPOCH)
    assert set_discount(clickhouse, asked, dry_run=True).known_from.year >= 2026
    assert read_discounts(clickhouse) == []
    assert set_discount(clickhouse, replace(asked, account_id="b"), dry_run=False).known_from == BEGINNING
    set_discount(clickhouse, asked, dry_run=False)
    set_discount(clickhouse, replace(asked, percent=None), dry_run=False)
    assert [(one.account_id, one.percent) for one in read_discounts(clickhouse)] == [
        ("a", Decimal("12.5")),
        ("a", None),
        ("b", Decimal("12.5")),
    ]


def test_what_has_no_price_is_listed_with_its_mend(clickhouse: ClickHouse) -> None:
    """A name without a match, a unit without a price, a plugin's unit: each with use, times and a command."""
    alias(clickhouse, "house", "llm 1", ("", ""))
    alias(clickhouse, "openai", "gpt-4o-2024-08-06", ("openai", "gpt-4o"))
    charge(clickhouse, "unpriced", "house", "llm 1", "input_tokens")
    for unit in ("input_tokens", "images"):
        charge(clickhouse, "unpriced", "openai", "gpt-4o-2024-08-06", unit)
    charge(clickhouse, "unpriced", "plugin", "pdf", "pages", account="b")
    found = {one.provider: one for one in unpriced(clickhouse)}
    assert {name: (one.book_name, one.units) for name, one in found.items()} == {
        "house": (None, ("input_tokens",)),
        "openai": (("openai", "gpt-4o"), ("images",)),
        "plugin": (("plugin", "pdf"), ("pages",)),
    }
    assert (found["house"].calls, found["house"].tokens, found["house"].first_seen) == (3, 30, EPOCH)
    day = f"{EPOCH:%Y-%m-%d}"
    assert found["house"].mend == (
        f"taximeter prices set house 'llm 1' --unit input_tokens --usd USD --per 1M --from {day}"
    )
    assert found["openai"].mend.startswith("taximeter prices set openai gpt-4o --unit images --usd USD --per 1 ")
    assert [one.provider for one in unpriced(clickhouse, "b")] == ["plugin"]


def test_a_call_to_come_costs_what_the_book_says(clickhouse: ClickHouse) -> None:
    """Matched, split and priced as a stored event would be, at the asked time, tier and account."""
    usage = {"input_tokens": 1_000, "cache_read_tokens": 200, "output_tokens": 500}
    plain = Call("openai", "gpt-4o-2024-08-06", usage)
    found = estimate(clickhouse, plain)
    assert (found.book_name, found.cost_usd, found.cost_source) == (("openai", "gpt-4o"), Decimal("0.00725"), "priced")
    assert [(line.unit, line.quantity, line.amount) for line in found.lines] == [
        ("input_tokens", 800, Decimal("0.002")),
        ("cache_read_tokens", 200, Decimal("0.00025")),
        ("output_tokens", 500, Decimal("0.005")),
    ]
    early = datetime(2026, 10, 11, 23, 59, 59, 999_999, tzinfo=UTC)
    fast = replace(plain, service_tier="priority")
    assert estimate(clickhouse, fast, early).cost_usd == found.cost_usd
    assert estimate(clickhouse, fast, early + timedelta(microseconds=1)).cost_usd == Decimal("0.012325")
    set_discount(clickhouse, Discount("acme", Decimal(50), valid_from=BEGINNING), dry_run=False)
    assert estimate(clickhouse, replace(plain, account_id="acme")).cost_usd == found.cost_usd / 2
    lacking = estimate(clickhouse, Call("openai", "gpt-4o", {"images": 1}))
    assert (lacking.cost_source, lacking.cost_usd, lacking.lacking) == ("unpriced", 0, ("images",))


def test_an_unknown_model_names_what_is_near(clickhouse: ClickHouse) -> None:
    """The error says which names are near, those of the provider first."""
    with pytest.raises(UnknownModel) as raised:
        estimate(clickhouse, Call("openai", "gpt-4p", {"input_tokens": 1}))
    assert ("openai", "gpt-4o") in raised.value.near
    with pytest.raises(UnknownModel) as raised:
        estimate(clickhouse, Call("nobody", "gpt-4o", {"input_tokens": 1}))
    assert ("openai", "gpt-4o") in raised.value.near


def test_the_models_of_the_book_are_listed_at_an_instant(clickhouse: ClickHouse) -> None:
    """Every model that has a price then, with prices, tiers and sizes; a plugin is none."""
    append_rates(clickhouse, [Rate("plugin", "pdf", "pages", Decimal(1), source="test")])
    models = {(one.provider, one.model): one for one in list_models(clickhouse)}
    assert len(models) > 2_000
    assert ("plugin", "pdf") not in models
    assert models["openai", "gpt-4o"].prices["input_tokens"] == Decimal("0.0000025")
    assert {"batch", "priority"} <= set(models["openai", "gpt-4o"].service_tiers)
    assert models["google", "gemini-2.5-pro"].above_input_tokens == (200_000,)
    assert {one.provider for one in list_models(clickhouse, provider="xai")} == {"x-ai"}
