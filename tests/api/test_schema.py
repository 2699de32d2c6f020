"""The OpenAPI document: complete, and what the API really does, as schemathesis finds it."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.api.conformance import assert_conforms, described
from tests.api.test_isolation import KNOWN

from taximeter_consumers.api.services import Services

pytestmark = pytest.mark.integration


def test_every_route_is_described(app: FastAPI) -> None:
    """A summary, a description, an operation id of its own, a description of each parameter of a path, and refusals."""
    document = app.openapi()
    names = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            assert operation["description"], path
            names.append(operation["operationId"])
            if path not in ("/healthz", "/readyz", "/metrics"):
                assert {"401", "403", "422", "503"} <= operation["responses"].keys(), (method, path)
                assert operation["security"], path
                for status in ("401", "503"):
                    assert "application/problem+json" in operation["responses"][status]["content"], path
    assert len(names) == len(set(names))
    assert "ProblemModel" in document["components"]["schemas"]


def test_references_lead_somewhere(app: FastAPI) -> None:
    """Every $ref of the document."""
    document = app.openapi()

    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [one for value in part.values() for one in references(value)]
        return [one for value in part for one in references(value)] if isinstance(part, list) else []

    for reference in references(document):
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_the_document_and_the_page_need_no_key(client: TestClient) -> None:
    """And the page loads nothing from anywhere."""
    assert client.get("/openapi.json").json()["info"]["title"] == "Taximeter"
    page = client.get("/docs")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "/api/metering/runs/{runId}" in page.text
    assert "INTERNAL_API_KEY: $INTERNAL_API_KEY" in page.text


@pytest.fixture(scope="session")
def api(services: Services) -> Any:
    """The document as schemathesis reads it."""
    return described(services)


@pytest.mark.parametrize(("method", "path"), sorted(KNOWN | {("get", "/healthz"), ("get", "/metrics")}))
def test_the_api_does_what_its_document_says(api: Any, keys: dict[str, str], method: str, path: str) -> None:
    """Generated requests to every route: no 5xx, no status, content or body that the document does not have."""

    assert_conforms(api[path][method.upper()], {"Authorization": f"Bearer {keys['operator']}"}, examples=10)
