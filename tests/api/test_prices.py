"""Models with their prices, and estimates by the price book."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import Get

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing.estimate import Call, estimate, list_models
from taximeter_schemas.money import plain

pytestmark = pytest.mark.integration


def post(client: TestClient, key: str, body: Any) -> Any:
    """Asks for an estimate."""
    return client.post("/v1/cost-estimate", json=body, headers={"Authorization": f"Bearer {key}"})


def test_models_have_the_prices_of_the_book(get: Get, sql: ClickHouse) -> None:
    """All of them, page by page, to the last digit."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = get("/v1/models", limit=2, **cursor)
        found.extend(page["models"])
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    wanted = list_models(sql)
    assert len(wanted) > 4
    assert [(one["provider"], one["model"], one["usdPerUnit"]) for one in found] == [
        (one.provider, one.model, {unit: plain(price) for unit, price in one.prices.items()}) for one in wanted
    ]


def test_models_can_be_narrowed(get: Get) -> None:
    """By provider and by a part of the name."""
    assert {one["model"] for one in get("/v1/models", provider="openai", model="MINI")["models"]} == {"gpt-4o-mini"}


def test_an_estimate_is_that_of_the_command_line(client: TestClient, keys: dict[str, str], sql: ClickHouse) -> None:
    """The same cost, the same lines, by the same arithmetic."""
    body = {"provider": "openai", "model": "gpt-4o", "inputTokens": 1000, "outputTokens": 500, "cacheReadTokens": 100}
    answer = post(client, keys["mine"], body)
    assert answer.status_code == 200, answer.text
    units = {"input_tokens": 1000, "output_tokens": 500, "cache_read_tokens": 100}
    wanted = estimate(sql, Call("openai", "gpt-4o", units))
    told = answer.json()
    assert (told["costUsd"], told["costSource"], told["lacking"]) == (plain(wanted.cost_usd), "priced", [])
    assert sum(Decimal(line["amountUsd"]) for line in told["lines"]) == wanted.cost_usd


def test_an_unknown_model_is_refused_with_those_that_are_near(client: TestClient, keys: dict[str, str]) -> None:
    """Never priced as something else."""
    answer = post(client, keys["mine"], {"provider": "openai", "model": "gpt-4p", "inputTokens": 1})
    assert (answer.status_code, answer.json()["type"]) == (422, "/docs#unknown-model")
    assert {"provider": "openai", "model": "gpt-4o"} in answer.json()["near"]


@pytest.mark.parametrize(
    "body",
    [
        {"provider": "openai"},
        {"provider": "openai", "model": "gpt-4o", "inputTokens": -1},
        {"provider": "openai", "model": "gpt-4o", "inputTokens": 1e300},
        {"provider": "openai", "model": "gpt-4o", "inputTokens": "many"},
        {"provider": "openai", "model": "gpt-4o", "units": {"no_such_unit": 1}},
        {"provider": "openai", "model": "gpt-4o", "at": "yesterday"},
        {"provider": "openai", "model": "gpt-4o", "surprise": 1},
        [],
        "text",
    ],
)
def test_a_wrong_estimate_is_refused_with_a_word(client: TestClient, keys: dict[str, str], body: Any) -> None:
    """422, and what to correct."""
    answer = post(client, keys["mine"], body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
