"""Re-rating on the real engine: the preview is what happens, it happens once, and any crash leaves right sums."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.rollups.calls import calls
from tests.rollups.rows import EPOCH, Sink

from taximeter_consumers import failpoints
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing.book import append_rates, server_time
from taximeter_consumers.pricing.rate import Rate
from taximeter_consumers.reprice import Order, preview, rerate
from taximeter_consumers.rollups import Tick, rebuild, tick
from taximeter_consumers.rollups.definitions import ROLLUPS

pytestmark = pytest.mark.integration
CENT = Decimal("0.000001")
ALL = Order(EPOCH - timedelta(days=1), EPOCH + timedelta(days=60), by="ada", reason="the price was wrong")


def priced(clickhouse: ClickHouse) -> None:
    """Two accounts with calls that are priced, and a correction that is known only afterwards."""
    units = ("input_tokens", "output_tokens")
    append_rates(clickhouse, [Rate("openai", "brand-new", unit, CENT, source="test") for unit in units])
    first = calls(3, model="brand-new", transaction_id="t1")
    Sink(clickhouse).store(first + calls(2, account="b", run="q", model="brand-new", transaction_id="t2"))
    tick(clickhouse)
    now = server_time(clickhouse)
    append_rates(clickhouse, [Rate("openai", "brand-new", "input_tokens", CENT * 3, source="test", known_from=now)])
    tick(clickhouse)


def sums(clickhouse: ClickHouse) -> dict[str, Decimal]:
    """What each rollup sums up to."""
    return {one.name: clickhouse.scalar(f"SELECT sum(cost_usd) FROM {one.name}") for one in ROLLUPS}


BEFORE = CENT * (3_003 + 3 + 2_001 + 1)
DIFFERENCE = CENT * 2 * (3_003 + 2_001)


def test_the_preview_shows_what_would_change_and_changes_nothing(clickhouse: ClickHouse) -> None:
    """Differences by account, model and run, the rollups as they were."""
    priced(clickhouse)
    seen = preview(clickhouse, ALL)
    assert (seen.reprice_id, seen.summary.total.events, seen.summary.total.amount_usd) == ("", 5, DIFFERENCE)
    assert {account: one.amount_usd for account, one in seen.summary.accounts.items()} == {
        "a": CENT * 2 * 3_003,
        "b": CENT * 2 * 2_001,
    }
    assert [run for run, _ in seen.summary.largest_runs(5)] == [("a", "r"), ("b", "q")]
    assert set(seen.summary.models) == {("a", "openai", "brand-new"), ("b", "openai", "brand-new")}
    assert set(seen.summary.periods) == {("a", "2026-11"), ("b", "2026-11")}
    assert set(sums(clickhouse).values()) == {BEFORE}
    assert preview(clickhouse, Order(ALL.since, EPOCH)).summary.total.events == 0


def test_adjustments_reach_every_rollup_and_say_who_and_why(clickhouse: ClickHouse) -> None:
    """All rollups agree on the new sum, the charges have a line for it, and a second order finds nothing to do."""
    priced(clickhouse)
    done = rerate(clickhouse, Order(ALL.since, ALL.until, account_id="a", by="ada", reason="typo"))
    assert set(sums(clickhouse).values()) == {BEFORE + CENT * 2 * 3_003}
    rows = clickhouse.rows(
        "SELECT account_id, sum(amount_usd), any(ordered_by), any(reason) FROM adjustments GROUP BY 1"
    )
    assert rows == [("a", CENT * 2 * 3_003, "ada", "typo")]
    lines = clickhouse.rows(
        "SELECT account_id, unit, sum(cost_usd) FROM charges WHERE source = 'adjusted' GROUP BY 1, 2"
    )
    assert lines == [("a", "calls", CENT * 2 * 3_003)]
    assert clickhouse.rows("SELECT step, events, old_book, new_book FROM reprices") == [
        (3, 3, done.old_book, done.new_book)
    ]
    assert clickhouse.scalar("SELECT sum(adjusted_cost_usd) FROM usage_by_subject") == CENT * 2 * 3_003
    assert rerate(clickhouse, Order(ALL.since, ALL.until, account_id="a")).reprice_id == ""
    assert tick(clickhouse) == Tick()
    rebuild(clickhouse)
    assert set(sums(clickhouse).values()) == {BEFORE + CENT * 2 * 3_003}


class Died(Exception):
    """The process ended here."""


@pytest.mark.parametrize(
    ("place", "finished"),
    [
        ("reprice.begun", False),
        pytest.param("reprice.slice_written", False, marks=pytest.mark.long),
        ("reprice.written", True),
        pytest.param("aggregate.before_rerated", True, marks=pytest.mark.long),
    ],
)
def test_a_rerating_that_died_counts_whole_or_not_at_all(
    clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch, place: str, *, finished: bool
) -> None:
    """Before all adjustments are written none of them counts, and the order is given again; afterwards any tick brings
    them in."""
    priced(clickhouse)

    def die(reached: str) -> None:
        if reached == place:
            raise Died

    with monkeypatch.context() as patched:
        patched.setattr(failpoints, "reached", die)
        with pytest.raises(Died):
            rerate(clickhouse, ALL)
    tick(clickhouse)
    rebuild(clickhouse)
    assert set(sums(clickhouse).values()) == {BEFORE + DIFFERENCE if finished else BEFORE}
    assert bool(rerate(clickhouse, ALL).reprice_id) is not finished
    assert set(sums(clickhouse).values()) == {BEFORE + DIFFERENCE}


def test_unknown_is_no_reason_to_give_money_back(clickhouse: ClickHouse) -> None:
    """Where the book of now knows no price any more, calls keep the one that they had."""
    priced(clickhouse)
    now = server_time(clickhouse)
    append_rates(
        clickhouse,
        [Rate("openai", "brand-new", unit, None, source="test", known_from=now) for unit in ("input_tokens",)],
    )
    assert preview(clickhouse, ALL).summary.total.events == 0
