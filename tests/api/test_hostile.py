"""Wrong, empty, huge and hostile input: a clear 4xx each, or a right answer; never a 5xx."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.api.conformance import KeptOpen
from tests.api.conftest import Filled
from tests.api.hostile import complaint, requests, shown
from tests.api.in_process import ask_all
from tests.api.new_key import new_key
from tests.api.writing import ALL, WORKER_KEY, Writing

from taximeter_consumers.api.app import create_app
from taximeter_consumers.api.keys import ALL_ACCOUNTS
from taximeter_consumers.api.problems import MEDIA_TYPE
from taximeter_consumers.api.services import services_of
from taximeter_consumers.clickhouse import ClickHouse

pytestmark = pytest.mark.integration
COUNT = 10_000


@pytest.fixture(scope="module")
def everything(filled: Filled, writing: Writing) -> Iterator[FastAPI]:
    """An application whose every route works: over the filled database, a real broker and a real quota service."""
    settings = writing.services.settings.model_copy(update={"key_cache_seconds": 600.0})
    reading = services_of(filled.settings, settings)
    # Others work on this machine, too: an answer that is late is no wrong one.
    asker = writing.site.client(answer_seconds=60)
    parts = {one.name: getattr(reading, one.name) for one in fields(reading)}
    # What the site has is closed with the site.
    yield create_app(KeptOpen(**parts | {"events": writing.services.events, "quota": asker}))
    asker.close()
    reading.close()


def counted(sql: ClickHouse) -> list[tuple[object, ...]]:
    """How many rows each table has that a hostile request could reach."""
    tables = ("stored_events", "run_costs", "invoices")
    return [sql.rows(f"SELECT count() FROM {table}")[0] for table in tables]


def test_ten_thousand_hostile_requests_get_a_clear_answer(everything: FastAPI, sql: ClickHouse) -> None:
    """Each is refused by a problem that says what to do, or answered rightly; nothing stored is changed by any."""
    before = counted(sql)
    secrets = {"Authorization": f"Bearer {new_key(sql, ALL_ACCOUNTS, ALL)}", "INTERNAL_API_KEY": WORKER_KEY}
    found = asyncio.run(ask_all(everything, requests(everything.openapi(), COUNT, secrets)))
    wrong = [f"{said}: {shown(*one)}" for one in found if (said := complaint(*one)) is not None]
    assert wrong == []
    statuses = Counter(answered.status for _, answered in found)
    assert statuses.total() == COUNT
    assert {200, 400, 404, 405, 413, 414, 415, 422, 431} <= statuses.keys(), statuses
    assert counted(sql) == before


@pytest.mark.parametrize(
    ("url", "headers", "status"),
    [
        ("/v1/usage?" + "x" * 9_000, {}, 414),
        ("/" + "x" * 9_000, {}, 414),
        ("/v1/usage", {"X-Filler": "x" * 40_000}, 431),
        ("/v1/cost-estimate", {"Content-Length": str(2**20 + 1)}, 413),
        ("/v1/nothing", {}, 404),
        ("/v1/usage/", {}, 404),
    ],
)
def test_limits_hold_before_anything_is_looked_at(
    client: TestClient, url: str, headers: dict[str, str], status: int
) -> None:
    """Also without a key."""
    answer = client.get(url, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)


def test_a_body_is_counted_as_it_comes(client: TestClient, keys: dict[str, str]) -> None:
    """Without a Content-Length, too."""
    answer = client.post(
        "/v1/cost-estimate",
        content=(b"x" * 65_536 for _ in range(40)),
        headers={"X-API-Key": keys["mine"], "Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["type"]) == (413, "/docs#body-too-large")


def test_a_body_of_another_kind_is_415_and_broken_json_is_400(client: TestClient, keys: dict[str, str]) -> None:
    """Each says what to send."""
    key = {"X-API-Key": keys["mine"]}
    text = client.post("/v1/cost-estimate", content=b"a=b", headers={**key, "Content-Type": "text/plain"})
    assert (text.status_code, text.json()["type"]) == (415, "/docs#unsupported-media-type")
    broken = client.post("/v1/cost-estimate", content=b"{", headers={**key, "Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["type"]) == (400, "/docs#bad-request")
