"""One tenant never sees another: every route of the OpenAPI document, asked for the other's things in every way.

A route that this test does not know fails it: whoever adds one says here how it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.api.use import MARK, MINE, RIVAL, TREE

from taximeter_consumers.billing.stored import invoices_of
from taximeter_consumers.clickhouse import ClickHouse

pytestmark = pytest.mark.integration

# What says nothing of any account: probes of operators.
WITHOUT_TENANTS = {("get", "/healthz"), ("get", "/readyz"), ("get", "/metrics")}
FILTERS: dict[str, str] = {
    "accountId": RIVAL,
    "userId": f"{MARK}-user",
    "workflowId": f"{MARK}-flow",
    "projectId": f"{MARK}-project",
    "model": f"{MARK}-model",
    "nodeType": f"{MARK}-type",
    "runId": f"{MARK}-run-1",
    "transactionId": f"{MARK}-transaction",
    "externalId": f"{MARK}-external",
}
GROUPS = (
    "account",
    "user",
    "project",
    "workflow",
    "context",
    "quality",
    "provider",
    "model",
    "usageType",
    "nodeType",
    "node",
)
ROLLUPS = ("run_costs", "node_costs", "model_costs", "usage_by_subject", "charges")
Asked = tuple[str, str, dict[str, Any]]


def questions(method: str, path: str, parameters: set[str], numbers: list[int]) -> Iterator[Asked]:
    """How a route may be asked for what is the rival's: (method, URL, further arguments of the client)."""
    urls = {
        "/api/metering/runs/{runId}": [f"/api/metering/runs/{MARK}-run-{number}" for number in range(3)]
        + [f"/api/metering/runs/{TREE}"],
        "/v1/invoices/{number}": [f"/v1/invoices/{number}" for number in numbers]
        + [f"/v1/invoices/{number}?format={form}" for number in numbers for form in ("html", "pdf")],
        "/v1/export": [
            f"/v1/export?dataset={dataset}&format={form}"
            for dataset in ("usage", "invoices", *(f"rollups&rollup={name}" for name in ROLLUPS))
            # Whose rows they are is decided before their form is.
            for form in (("csv", "jsonl", "parquet") if dataset == "usage" else ("csv",))
        ],
    }.get(path, [path])
    if method == "post":
        call = {"provider": "openai", "model": "gpt-4o", "inputTokens": 1}
        yield method, path, {"json": call}
        yield method, path, {"json": {**call, "accountId": RIVAL}}
        return
    for url in urls:
        yield method, url, {}
        if "accountId" in parameters:
            yield method, f"{url}{'&' if '?' in url else '?'}accountId={RIVAL}", {}
    if "{" not in path and path != "/v1/export":
        for name in sorted(parameters & FILTERS.keys()):
            yield method, path, {"params": {name: FILTERS[name]}}
    if "groupBy" in parameters:
        for group in GROUPS:
            yield method, path, {"params": {"groupBy": group, "granularity": "hour"}}
    if "summary" in parameters:
        yield method, path, {"params": {"summary": True, "limit": 500}}


def operations(app: FastAPI) -> list[tuple[str, str, set[str]]]:
    """Every route of the document with the names of its parameters."""
    return [
        (method, path, {one["name"] for one in operation.get("parameters", ())})
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]


KNOWN = {
    ("get", "/api/metering/runs"),
    ("get", "/api/metering/runs/{runId}"),
    ("get", "/api/metering/summary"),
    ("get", "/v1/key"),
    ("get", "/v1/usage"),
    ("get", "/v1/usage/summary"),
    ("get", "/v1/models"),
    ("post", "/v1/cost-estimate"),
    ("get", "/v1/invoices"),
    ("get", "/v1/invoices/{number}"),
    ("get", "/v1/export"),
}
# Asked for a rival's things in the tests of each, which have a real broker and a quota service: test_events,
# test_reservations, test_quota_settings, test_account, test_stream, test_embed.
ELSEWHERE = {
    ("post", "/v1/events"),
    ("post", "/v1/usage"),
    ("post", "/v1/reservations"),
    ("get", "/v1/reservations"),
    ("get", "/v1/reservations/{reservationId}"),
    ("post", "/v1/reservations/{reservationId}/confirm"),
    ("post", "/v1/reservations/{reservationId}/release"),
    ("post", "/v1/quota/check"),
    ("get", "/v1/quota/{subject}"),
    ("get", "/v1/quota-plans"),
    ("post", "/v1/quota-plans/{planId}"),
    ("post", "/v1/quota-plans/{planId}/limits"),
    ("get", "/v1/quota-assignments"),
    ("post", "/v1/quota-assignments"),
    ("get", "/v1/quota-add-ons"),
    ("post", "/v1/quota-add-ons"),
    ("get", "/api/account/usage"),
    ("post", "/api/test/simulate-tokens"),
    ("post", "/worker/charge-tokens"),
    ("get", "/v1/stream"),
    ("post", "/v1/embed-tokens"),
}
# Opened by tokens that say whom they show, not by keys: test_embed.
BY_TOKEN = {("get", "/embed/usage.json"), ("get", "/embed/stream")}


def test_every_route_is_asked_here(app: FastAPI) -> None:
    """A new route is added to KNOWN together with the questions that it may be asked, or it must not exist."""
    assert {(method, path) for method, path, _ in operations(app)} == KNOWN | ELSEWHERE | BY_TOKEN | WITHOUT_TENANTS


@pytest.mark.parametrize(("method", "path"), sorted(KNOWN))
def test_a_tenant_never_sees_another(
    app: FastAPI, client: TestClient, keys: dict[str, str], sql: ClickHouse, method: str, path: str
) -> None:
    """Asked for the rival's things, the answer is 404, or has nothing of them; never 403, which would tell that they
    are there. The rival itself is shown them, so they are there to be asked for."""
    (parameters,) = [names for one, route, names in operations(app) if (one, route) == (method, path)]
    numbers = [invoice.number for invoice in invoices_of(sql, RIVAL)]
    shown = False
    for verb, url, more in questions(method, path, parameters, numbers):
        mine = client.request(verb, url, headers={"Authorization": f"Bearer {keys['mine']}"}, **more)
        assert mine.status_code in (200, 404), (url, more, mine.status_code, mine.text[:200])
        if mine.status_code == 200:
            assert MARK.encode() not in mine.content, (url, more)
        else:
            assert f"{MARK}-" not in mine.text, (url, more)
        if not shown:
            theirs = client.request(verb, url, headers={"Authorization": f"Bearer {keys['rival']}"}, **more)
            shown = theirs.status_code == 200 and MARK.encode() in theirs.content
    assert shown or path in ("/v1/models", "/v1/cost-estimate")


@pytest.mark.parametrize(("method", "path"), sorted(KNOWN | ELSEWHERE))
def test_every_route_needs_a_key(client: TestClient, method: str, path: str) -> None:
    """401, before anything of the request is looked at."""
    answer = client.request(method, re.sub(r"\{\w+\}", "1", path))
    assert (answer.status_code, answer.json()["type"]) == (401, "/docs#no-key"), path


def test_whether_another_account_exists_is_not_told(client: TestClient, keys: dict[str, str]) -> None:
    """An account that is there and one that is not get the same answer, but for its instance."""
    told = set()
    for account in (RIVAL, "no-such-account"):
        answer = client.get("/v1/usage", params={"accountId": account}, headers={"X-API-Key": keys["mine"]})
        told.add((answer.status_code, answer.json()["type"], answer.json()["detail"]))
    assert len(told) == 1
    own = client.get("/v1/usage", params={"accountId": MINE}, headers={"X-API-Key": keys["mine"]})
    assert own.status_code == 200
