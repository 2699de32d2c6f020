"""Wrong, empty, huge and hostile input: a clear 4xx each, or a right answer; never a 5xx."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.api.hostile import requests

from taximeter_consumers.api.problems import KINDS, MEDIA_TYPE
from taximeter_consumers.clickhouse import ClickHouse

pytestmark = pytest.mark.integration
COUNT = 2_000
LEAKS = ("Traceback", "clickhouse", "DB::Exception", "Code: ", "site-packages", "stored_events", "SELECT ")


def test_thousands_of_hostile_requests_get_a_clear_answer(
    app: FastAPI, client: TestClient, keys: dict[str, str], sql: ClickHouse
) -> None:
    """Every refusal is a problem with a detail and the request's id; nothing is stored or lost by any of them."""
    before = sql.scalar("SELECT count() FROM stored_events")
    statuses: Counter[int] = Counter()
    for verb, url, headers, body in requests(app.openapi(), COUNT):
        more = {"Content-Type": "application/json"} | headers if body is not None else headers
        answer = client.request(
            verb,
            f"http://testserver{url}",
            headers={**more, "Authorization": f"Bearer {keys['operator']}"},
            content=body,
        )
        where = (verb, url[:300], headers, (body or b"")[:200], answer.status_code, answer.text[:300])
        statuses[answer.status_code] += 1
        assert answer.status_code < 500, where
        assert "x-injected" not in answer.headers, where
        if answer.status_code >= 400 and verb != "HEAD":
            assert answer.headers["content-type"] == MEDIA_TYPE, where
            told = json.loads(answer.text)
            assert told["status"] == answer.status_code, where
            assert told["type"].removeprefix("/docs#") in KINDS, where
            assert told["detail"], where
            assert told["instance"] == answer.headers["x-request-id"], where
            assert not any(leak in answer.text for leak in LEAKS), where
    assert sql.scalar("SELECT count() FROM stored_events") == before
    assert {200, 404, 405, 422} <= statuses.keys(), statuses


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
