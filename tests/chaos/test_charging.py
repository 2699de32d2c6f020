"""The harness's own prices: equal to the simulator's count, and right when prices change or are re-rated."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from chaos.charging import charged
from chaos.price_changes import PriceChange, charge_of
from chaos.streams import made_events
from chaos.truth import row_of
from taximeter_infra.simulate.catalogue import list_prices
from taximeter_infra.simulate.expected import cost_of_use
from taximeter_schemas.codec import to_plain
from taximeter_schemas.event import MeterEvent

ROWS: list[tuple[MeterEvent, dict[str, Any]]] = [(event, row_of(to_plain(event))) for event in made_events(7, 3_000)]
OF_GPT = next(
    row for _, row in ROWS if row["model"] == "gpt-4o" and charge_of(row, 1, ()).model_cost and row["output_tokens"]
)
OF_INHOUSE = next(row for _, row in ROWS if charge_of(row, 1, ()).how == "unpriced")
DEARER = PriceChange("openai", "gpt-4o", {"output_tokens": Decimal(1)}, known_from=100)
FIRST = PriceChange("inhouse", "ledger-reasoner-preview", {"input_tokens": Decimal(1), "output_tokens": Decimal(2)})


def test_two_counts_agree() -> None:
    """Thousands of simulated calls cost what the simulator's own count says, and are known in the same way."""
    prices, ways = list_prices(), set()
    for event, row in ROWS:
        found = charged(row, prices.get((row["provider"], row["model"]), {}))
        expected = ("", Decimal(0)) if event.ai is None else cost_of_use(event.ai, prices)
        assert (found.how, found.cost) == expected
        ways.add(found.how)
    assert ways == {"", "reported", "priced", "unpriced", "unmeasured"}


def test_lines_say_how_a_cost_came_to_be() -> None:
    """A line of a price is quantity times price, and the lines of a call are all of its cost."""
    for _, row in ROWS:
        for line in charge_of(row, 1, ()).lines:
            assert line.quantity
            assert line.amount == (line.quantity * line.usd_per_unit if line.source == "priced" else line.amount)


def test_a_price_holds_for_calls_that_come_after_it_is_known() -> None:
    """One that came before keeps what it had."""
    before, after = charge_of(OF_GPT, 99, [DEARER]), charge_of(OF_GPT, 100, [DEARER])
    assert before == charge_of(OF_GPT, 1, ())
    assert after.cost > before.cost


def test_a_re_rating_adds_the_difference_once() -> None:
    """The first price stays, and the sum is what the call costs by the new one."""
    anew = charge_of(OF_GPT, 99, [replace(DEARER, rerated=True)])
    assert anew.model_cost == charge_of(OF_GPT, 1, ()).model_cost
    assert anew.cost == charge_of(OF_GPT, 100, [DEARER]).cost
    assert [line.source for line in anew.lines].count("adjusted") == 1


def test_a_first_price_for_all_calls_leaves_none_unpriced() -> None:
    """A price that is known from the start is the first price of every call."""
    found = charge_of(OF_INHOUSE, 1, [FIRST])
    assert (found.how, found.adjusted) == ("priced", Decimal(0))
    late = charge_of(OF_INHOUSE, 1, [replace(FIRST, known_from=100, rerated=True)])
    assert (late.how, late.model_cost, late.adjusted) == ("priced", Decimal(0), found.cost)


def test_an_account_has_its_own_price() -> None:
    """It stands above everybody's, unit by unit, and is nobody else's."""
    own = replace(DEARER, account_id=OF_GPT["account_id"], known_from=0)
    assert charge_of(OF_GPT, 1, [own]).cost == charge_of(OF_GPT, 100, [DEARER]).cost
    assert charge_of(OF_GPT, 1, [replace(own, account_id="another")]).cost == charge_of(OF_GPT, 1, ()).cost


def test_what_it_does_not_know_is_refused() -> None:
    """A stream with units of other kinds must not be judged by prices that leave them out."""
    with pytest.raises(AssertionError, match="teach it"):
        charged({**OF_GPT, "ai_units": {"web_searches": 1}}, {})
