"""Usage event by event: pages, filters, sums."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import Get, getter
from tests.api.new_key import new_key
from tests.api.use import MINE, RIVAL, event
from tests.rollups.database import with_book
from tests.rollups.rows import Sink

from taximeter_consumers.api.app import create_app
from taximeter_consumers.api.keys import ALL_ACCOUNTS
from taximeter_consumers.api.services import services_of
from taximeter_consumers.api.settings import ApiSettings
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.rollups import tick
from taximeter_schemas.money import plain
from taximeter_schemas.settings import ClickHouseSettings

pytestmark = pytest.mark.integration


def pages(get: Get, **parameters: Any) -> list[dict[str, Any]]:
    """All pages of a question."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = get("/v1/usage", **parameters, **cursor)
        found.extend(page["usage"])
        if page["nextCursor"] is None:
            return found
        cursor = {"cursor": page["nextCursor"]}


def test_all_pages_together_are_all_events_once_the_newest_first(get: Get, sql: ClickHouse) -> None:
    """Of all accounts, and their costs add up to that of the rollups, to the last digit."""
    found = pages(get, limit=97)
    wanted = sql.rows(
        "SELECT account_id, toString(event_id) FROM events ORDER BY id_time DESC, event_id DESC, account_id DESC"
    )
    assert [(row["accountId"], row["eventId"]) for row in found] == wanted
    whole = sum((Decimal(row["costUsd"]) for row in found), Decimal(0))
    assert plain(whole) == plain(sql.scalar("SELECT sum(cost_usd) FROM run_costs"))


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        ({"accountId": MINE}, f"account_id = '{MINE}'"),
        ({"userId": "user-2"}, "user_id = 'user-2'"),
        ({"workflowId": "flow-1", "context": "system"}, "workflow_id = 'flow-1' AND context = 'system'"),
        ({"model": "gpt-4o", "provider": "openai"}, "model = 'gpt-4o' AND provider = 'openai'"),
        ({"externalId": "order-7"}, "tags['external_id'] = 'order-7'"),
        (
            {"from": "2026-11-02", "until": "2026-11-02T06:30:00.5Z"},
            "occurred_at >= '2026-11-02' AND occurred_at < '2026-11-02 06:30:00.5'",
        ),
        ({"runId": "below"}, "run_id = 'below'"),
        ({"userId": "no'); DROP TABLE stored_events; --\\"}, "false"),
    ],
)
def test_filters_are_exact_in_pages_and_sums(
    get: Get, sql: ClickHouse, filters: dict[str, str], condition: str
) -> None:
    """The page has the events of SQL, and the sums are theirs."""
    found = pages(get, limit=500, **filters)
    wanted = sql.rows(f"SELECT toString(event_id), input_tokens FROM events WHERE {condition}")
    assert {row["eventId"] for row in found} == {name for name, _ in wanted}
    total = get("/v1/usage/summary", **filters)["total"]
    assert total["inputTokens"] == sum(tokens for _, tokens in wanted)
    assert total["costUsd"] == plain(sum((Decimal(row["costUsd"]) for row in found), Decimal(0)))


def test_sums_from_the_rollups_are_those_from_the_events(get: Get) -> None:
    """Whole hours are answered by the one, half hours by the other: two halves are the whole, in every row."""
    whole = get("/v1/usage/summary", **{"from": "2026-11-01", "until": "2026-11-03"})
    first = get("/v1/usage/summary", **{"from": "2026-11-01", "until": "2026-11-02T10:30:00Z"})
    second = get("/v1/usage/summary", **{"from": "2026-11-02T10:30:00Z", "until": "2026-11-03"})
    assert whole["total"]["events"] > 250
    for part, names in (("byModel", ("provider", "model")), ("byContext", ("context",))):
        added: dict[tuple[str, ...], dict[str, Decimal]] = {}
        for half in (first, second):
            for row in half[part]:
                sums = added.setdefault(tuple(row[name] for name in names), {})
                for field, value in row.items():
                    if field not in names:
                        sums[field] = sums.get(field, Decimal(0)) + Decimal(value)
        wanted = {
            tuple(row[name] for name in names): {k: Decimal(v) for k, v in row.items() if k not in names}
            for row in whole[part]
        }
        assert added == wanted, part
    for field, value in whole["total"].items():
        assert Decimal(first["total"][field]) + Decimal(second["total"][field]) == Decimal(value), field


def test_a_page_brings_the_sums_when_asked(get_mine: Get) -> None:
    """`summary=true`: those of all pages."""
    page = get_mine("/v1/usage", limit=1, summary=True)
    assert page["summary"] == get_mine("/v1/usage/summary")
    assert get_mine("/v1/usage", limit=1)["summary"] is None


def test_what_is_unknown_is_told_on_each_record(get: Get) -> None:
    """A call without a price costs nothing that is known, and says so."""
    (row,) = get("/v1/usage", provider="house", model="llm-9")["usage"]
    assert (row["costUsd"], row["costSource"]) == ("0", "unpriced")


def test_a_cursor_goes_with_its_question_only(client: TestClient, keys: dict[str, str], get: Get) -> None:
    """And a broken one is refused, whatever is wrong with it."""
    cursor = get("/v1/usage", limit=1, accountId=MINE)["nextCursor"]
    for wrong in (
        {"accountId": RIVAL, "cursor": cursor},
        {"cursor": cursor[:-3]},
        {"cursor": "e30"},
        {"cursor": "WzFd"},
    ):
        answer = client.get("/v1/usage", params=wrong, headers={"X-API-Key": keys["operator"]})
        assert (answer.status_code, answer.json()["type"]) == (422, "/docs#invalid"), wrong


def test_pages_are_stable_while_events_arrive(migrated_database: ClickHouseSettings) -> None:
    """New and late events between two pages: no event that was there is repeated or left out."""
    before = [event("a", "r", f"n{number}") for number in range(10)]
    with with_book(migrated_database) as clickhouse:
        sink = Sink(clickhouse)
        # Every other one is stored late.
        sink.store(before[::2])
        tick(clickhouse)
        services = services_of(migrated_database, ApiSettings())
        try:
            get = getter(TestClient(create_app(services)), new_key(clickhouse, ALL_ACCOUNTS))
            first = get("/v1/usage", limit=2)
            sink.store([*before[1::2], event("a", "r", "newest"), before[8]])
            second = get("/v1/usage", limit=100, cursor=first["nextCursor"])
        finally:
            services.close()
    seen = [row["nodeId"] for row in first["usage"] + second["usage"]]
    assert seen[:2] == ["n8", "n6"]
    assert [name for name in seen if name in {f"n{number}" for number in range(0, 10, 2)}] == [
        "n8",
        "n6",
        "n4",
        "n2",
        "n0",
    ]
    assert len(seen) == len(set(seen))
