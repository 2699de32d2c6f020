"""The package and the book: what a sync appends, what it leaves alone, and from when on it is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from taximeter_consumers.pricing.knowledge import Stretch, with_knowledge
from taximeter_consumers.pricing.packaged import packaged_rates
from taximeter_consumers.pricing.rate import EPOCH, Rate
from taximeter_consumers.pricing.series import Use, compiled, fitting
from taximeter_consumers.pricing.sync import plan_sync

MAY = datetime(2026, 5, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SOURCE = "genai-prices 0.0.0"


def packaged(usd: str | None, start: datetime = EPOCH, unit: str = "input_tokens", model: str = "m") -> Rate:
    """A row as the package gives it."""
    return Rate("lab", model, unit, None if usd is None else Decimal(usd), start, SOURCE)


def own(usd: str, start: datetime, account: str = "") -> Rate:
    """A row of an operator."""
    return replace(packaged(usd, start), source="contract", account_id=account, added_by="ops")


def said(book: list[Rate], rates: list[Rate]) -> list[tuple[str, datetime, str | None]]:
    """What a sync would append: kind, instant, price."""
    changes = plan_sync(book, rates).changes
    return [(one.kind, one.rate.valid_from, one.rate.usd_per_unit and str(one.rate.usd_per_unit)) for one in changes]


def test_the_whole_package_once_and_then_nothing() -> None:
    """Into an empty book everything, as it stands; into the book that has it, nothing."""
    rates = packaged_rates()
    first = plan_sync([], rates)
    assert sorted(first.rates, key=repr) == sorted(rates, key=repr)
    assert {change.kind for change in first.changes} <= {"new model", "ended"}
    assert plan_sync(rates, rates).changes == ()


def test_a_new_date_is_one_row() -> None:
    """A price that changes from a date on is appended at that date; what was before stays."""
    assert said([packaged("1")], [packaged("1"), packaged("2", MAY)]) == [("changed", MAY, "2")]


def test_a_corrected_price_is_appended_at_its_own_instant() -> None:
    """A row that says something else is not edited: a further row for the same instant says the new price."""
    assert said([packaged("1"), packaged("3", JUNE)], [packaged("2"), packaged("3", JUNE)]) == [("changed", EPOCH, "2")]


def test_a_date_that_moved_is_undone_where_it_was() -> None:
    """Where the package no longer changes a price, the book gets the price that holds through."""
    assert said([packaged("1"), packaged("2", MAY)], [packaged("1"), packaged("2", JUNE)]) == [
        ("changed", MAY, "1"),
        ("changed", JUNE, "2"),
    ]


def test_a_unit_that_is_gone_ends_and_a_model_that_is_gone_stays() -> None:
    """A price that a known model no longer has gets a null row; a model that has vanished keeps its prices."""
    book = [packaged("1"), packaged("2", unit="output_tokens"), packaged("9", model="old")]
    difference = plan_sync(book, [packaged("1")])
    assert [(change.kind, change.rate.unit, change.before) for change in difference.changes] == [
        ("ended", "output_tokens", Decimal(2))
    ]
    assert difference.vanished == (("lab", "old"),)


def test_a_new_unit_and_a_new_model_are_told_apart() -> None:
    """What is new is named for what it is."""
    rates = [packaged("1"), packaged("2", unit="images"), packaged("3", model="n")]
    assert [kind for kind, _, _ in said([packaged("1")], rates)] == ["new price", "new model"]


def test_an_operators_row_silences_the_package_from_its_instant_on() -> None:
    """His price stays; the package may still correct what was before it, and what is overruled is said."""
    book = [packaged("1"), own("0.5", MAY)]
    difference = plan_sync(book, [packaged("2"), packaged("4", JUNE)])
    assert [(change.rate.valid_from, change.rate.usd_per_unit) for change in difference.changes] == [
        (EPOCH, Decimal(2))
    ]
    assert [rate.valid_from for rate in difference.overruled] == [JUNE]


def test_rows_of_accounts_are_no_matter_of_the_package() -> None:
    """An account's own price neither silences the package nor is changed by it."""
    assert said([packaged("1"), own("0.5", EPOCH, "acme")], [packaged("2")]) == [("changed", EPOCH, "2")]


PRICES = st.one_of(st.none(), st.integers(0, 3).map(Decimal))
ROWS = st.dictionaries(
    st.tuples(st.sampled_from(["input_tokens", "output_tokens"]), st.sampled_from([EPOCH, MAY, JUNE])),
    PRICES,
    min_size=1,
)


@settings(max_examples=200)
@given(ROWS, ROWS, st.booleans())
def test_after_a_sync_the_book_says_what_the_package_says(
    before: dict[tuple[str, datetime], Decimal | None], after: dict[tuple[str, datetime], Decimal | None], priced: bool
) -> None:
    """Whatever the book had of the package, after a sync every price at every instant is the package's, a second sync
    appends nothing, and no row replaces another."""
    book = [replace(packaged(None, start, unit), usd_per_unit=usd) for (unit, start), usd in before.items()]
    rates = [replace(packaged(None, start, unit), usd_per_unit=usd) for (unit, start), usd in after.items()]
    stretches = [Stretch("", "lab", "m", EPOCH, NOW)] if priced else []
    added = with_knowledge(plan_sync(book, rates).rates, book, stretches, NOW)
    grown = [*book, *added]
    assert plan_sync(grown, rates).changes == ()
    assert len({(rate.series, rate.valid_from, rate.known_from) for rate in grown}) == len(grown)
    for moment in (EPOCH, MAY - timedelta(microseconds=1), MAY, JUNE, NOW):
        cards = [fitting(compiled(one), Use(moment, NOW + timedelta(days=1))) for one in (grown, rates)]
        assert (cards[0].usd_per_unit if cards[0] else {}) == (cards[1].usd_per_unit if cards[1] else {})
        if priced:
            # What had been priced is priced as it was, for calls that arrived before.
            early = [fitting(compiled(one), Use(moment, NOW - timedelta(days=1))) for one in (grown, book)]
            held = early[1].usd_per_unit if early[1] else {}
            told = early[0].usd_per_unit if early[0] else {}
            assert {unit: told.get(unit) for unit in held} == held


def known(rate: Rate, book: list[Rate], *stretches: Stretch) -> datetime:
    """From when on one row would be known."""
    (told,) = with_knowledge([rate], book, stretches, NOW)
    return told.known_from


def test_where_nothing_is_priced_a_row_is_known_from_the_beginning() -> None:
    """No priced calls at all, none of this model, none in the interval, or none that can have used the unit."""
    may = Stretch("", "lab", "m", MAY, MAY + timedelta(days=1))
    assert known(packaged("2"), []) == EPOCH
    assert known(packaged("2", model="n"), [packaged("1", model="n")], may) == EPOCH + timedelta(microseconds=1)
    assert known(packaged("2", JUNE), [packaged("1")], may) == EPOCH
    assert known(packaged("2", unit="images"), [packaged("1")], may) == EPOCH
    assert known(own("2", MAY, "acme"), [packaged("1")], may) == EPOCH


def test_where_calls_are_priced_a_row_is_known_from_now_on() -> None:
    """A price of the unit, of one whose price it takes, or of a unit that costs nothing without a price."""
    may = Stretch("", "lab", "m", MAY, MAY + timedelta(days=1))
    assert known(packaged("2", MAY), [packaged("1")], may) == NOW
    assert known(packaged("2", unit="cache_read_tokens"), [packaged("1")], may) == NOW
    assert known(packaged("2", unit="requests"), [packaged("1")], may) == NOW
    assert known(own("2", MAY, "acme"), [packaged("1")], replace(may, account_id="acme")) == NOW


def test_resources_were_free_and_stay_so() -> None:
    """A first price for CPU time is known from now on where anything has run in its interval."""
    cpu = Rate("resource", "", "cpu_us", Decimal(1), MAY, "ops")
    assert known(cpu, [], Stretch("", "resource", "", MAY, JUNE)) == NOW
    assert known(replace(cpu, valid_from=JUNE), [], Stretch("", "resource", "", MAY, JUNE)) == EPOCH


def test_a_row_that_ends_only_for_those_who_know_it_is_known_from_now_on() -> None:
    """A price for May to June before the first priced call, and what held before again from June on: the calls after
    June know of neither, or the first would be theirs."""
    book = [packaged("1")]
    rows = [packaged("2", MAY), packaged("1", JUNE)]
    stretch = Stretch("", "lab", "m", JUNE + timedelta(days=1), NOW)
    assert [rate.known_from for rate in with_knowledge(rows, book, [stretch], NOW)] == [NOW, NOW]
    entries = compiled([*book, *with_knowledge(rows, book, [stretch], NOW)])
    card = fitting(entries, Use(JUNE + timedelta(days=2), JUNE + timedelta(days=2)))
    assert card is not None
    assert card.usd_per_unit["input_tokens"] == 1
    corrected = replace(packaged("3", JUNE), known_from=NOW - timedelta(days=1))
    (told,) = with_knowledge([packaged("2", MAY)], [*book, corrected], [stretch], NOW)
    assert told.known_from == NOW
    ended = replace(corrected, known_from=EPOCH)
    assert with_knowledge([packaged("2", MAY)], [*book, ended], [stretch], NOW)[0].known_from == EPOCH
