"""The independent count."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from taximeter_consumers.pricing.match import match
from taximeter_consumers.pricing.packaged import packaged_rates
from taximeter_consumers.pricing.series import Use, compiled, fitting
from taximeter_infra.simulate.catalogue import MODELS, list_prices, read_prices
from taximeter_infra.simulate.expected import cost_of_use, expect
from taximeter_infra.simulate.generator import events
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.event import AiUsage, Quality

PRICES = {
    ("openai", "m"): {
        "input_tokens": Decimal("0.000003"),
        "cache_read_tokens": Decimal("0.0000003"),
        "output_tokens": Decimal("0.000015"),
    }
}


def use(**values: object) -> AiUsage:
    """A use of the priced model."""
    return AiUsage.model_validate({"provider": "openai", "model": "m", **values})


@pytest.mark.parametrize(
    ("used", "how", "cost"),
    [
        (use(input_tokens=1000, cache_read_tokens=400, output_tokens=10), "priced", "0.00207"),
        (use(input_tokens=1000, reported_cost=Decimal("0.5")), "reported", "0.5"),
        (use(quality=Quality.MISSING), "unmeasured", "0"),
        (use(quality=Quality.UNKNOWN, input_tokens=5), "unmeasured", "0"),
        (use(quality=Quality.MISSING, reported_cost=Decimal("0.25")), "reported", "0.25"),
        (use(input_tokens=10, cache_write_tokens=1), "unpriced", "0"),
        (use(model="other", input_tokens=1), "unpriced", "0"),
        (use(), "priced", "0"),
    ],
)
def test_the_rules_of_pricing(used: AiUsage, how: str, cost: str) -> None:
    """Stated cost wins; unknown use and unknown rates are counted and cost nothing; parts of the input are split."""
    assert cost_of_use(used, PRICES) == (how, Decimal(cost))


def test_the_sums_agree_with_one_another() -> None:
    """Models and accounts add up to the total, and every call is counted in exactly one way."""
    plan = SimulationPlan(3_000, seed=11)
    found = expect(events(plan), list_prices()).as_json()
    assert (found["rows"], found["runs"]) == (plan.events, plan.run_count)
    for part in ("by_model", "by_account"):
        assert sum(entry["ai_calls"] for entry in found[part]) == found["ai_calls"]
        assert sum(entry["input_tokens"] for entry in found[part]) == found["input_tokens"]
        assert sum(Decimal(entry["cost_usd"]) for entry in found[part]) == Decimal(found["cost_usd"])
    assert sum(entry["events"] for entry in found["by_account"]) == plan.events
    ways = ("reported_calls", "priced_calls", "unpriced_calls", "unmeasured_calls")
    assert sum(found[way] for way in ways) == found["ai_calls"]
    assert all(found[way] for way in ways)
    assert "E" not in found["cost_usd"]


def test_the_list_prices_are_the_books() -> None:
    """The catalogue's prices are those of the packaged book at the time of the simulation."""
    when = SimulationPlan(1).first_instant
    rates = packaged_rates()
    names = {(rate.provider, rate.model) for rate in rates}
    prices = list_prices()
    for model in MODELS:
        name = match(model.provider, model.name, names)
        assert (name is None) == (model.per_million is None)
        if name is not None:
            card = fitting(compiled([rate for rate in rates if (rate.provider, rate.model) == name]), Use(when, when))
            units = prices[model.provider, model.name]
            assert card is not None
            assert {unit: card.usd_per_unit[unit] for unit in units} == units


def test_prices_can_be_given(tmp_path: Path) -> None:
    """A JSON file of prices is read exactly; a bad one is refused."""
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"openai/m": {"input_tokens": "0.000003"}, "meta/llama/3": {"output_tokens": 0.1}}))
    assert read_prices(path) == {
        ("openai", "m"): {"input_tokens": Decimal("0.000003")},
        ("meta", "llama/3"): {"output_tokens": Decimal("0.1")},
    }
    path.write_text('{"openai/m": {"input_tokens": "dear"}}')
    with pytest.raises(Misconfigured):
        read_prices(path)
