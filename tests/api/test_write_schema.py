"""The routes that write do what the document says, whatever is sent: on a real broker and a real quota service."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.api.conformance import assert_conforms, described
from tests.api.hostile import BODIES, VALUES
from tests.api.test_isolation import ELSEWHERE
from tests.api.writing import WORKER_KEY, Writing

from taximeter_consumers.api.problems import MEDIA_TYPE

pytestmark = pytest.mark.integration
# An answer without end has no body to hold against a schema: tests/api/test_stream.py reads it event by event.
STREAMS = {("get", "/v1/stream")}
POSTS = sorted(path for method, path in ELSEWHERE if method == "post")
FIELDS: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/usage", {"context": "system", "provider": "p", "model": "m"}, "inputTokens"),
    ("/v1/usage", {"context": "system", "provider": "p", "model": "m"}, "audioDurationSeconds"),
    ("/v1/usage", {"context": "system", "provider": "p", "model": "m"}, "tags"),
    ("/v1/reservations", {"accountId": "fuzz"}, "amounts"),
    ("/v1/reservations", {"accountId": "fuzz", "amounts": {"total_tokens": 1}}, "ttlSeconds"),
    ("/v1/quota-add-ons", {"addOnId": "a", "accountId": "fuzz", "meter": "total_tokens"}, "amount"),
    ("/worker/charge-tokens", {"flowId": "f", "userId": "u", "outputTokens": 0, "model": "m", "aiSystem": "s"},
     "inputTokens"),
]  # fmt: skip


@pytest.fixture(scope="module")
def api(writing: Writing) -> Any:
    """The document as schemathesis reads it."""
    return described(writing.services)


@pytest.mark.parametrize(("method", "path"), sorted(set(ELSEWHERE) - STREAMS))
def test_the_api_does_what_its_document_says(api: Any, writing: Writing, method: str, path: str) -> None:
    """Generated requests: no 5xx, no status, content or body that the document does not have."""

    headers = {"Authorization": f"Bearer {writing.operator}", "INTERNAL_API_KEY": WORKER_KEY}
    assert_conforms(api[path][method.upper()], headers, examples=6)


def refused(writing: Writing, path: str, body: bytes) -> int:
    """The status of a hostile body; a refusal is a problem with a word of what to do."""
    headers = {"Content-Type": "application/json", "INTERNAL_API_KEY": WORKER_KEY}
    answer = writing.ask("POST", re.sub(r"\{\w+\}", "x", path), writing.operator, content=body, headers=headers)
    where = (path, body[:200], answer.status_code, answer.text[:300])
    assert answer.status_code < 500, where
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == MEDIA_TYPE, where
        assert answer.json()["detail"], where
        assert "Traceback" not in answer.text, where
    return int(answer.status_code)


@pytest.mark.parametrize("path", POSTS)
def test_hostile_bodies_get_a_clear_4xx(writing: Writing, path: str) -> None:
    """Broken, deep, huge, of another kind."""
    for body in BODIES:
        assert refused(writing, path, body) >= 400 or path.endswith("/release"), body[:100]


@pytest.mark.parametrize(("path", "rest", "field"), FIELDS)
def test_hostile_values_get_a_clear_answer(writing: Writing, path: str, rest: dict[str, Any], field: str) -> None:
    """Every kind of value in fields that are counted."""
    seen = {refused(writing, path, json.dumps({**rest, field: value}).encode()) for value in VALUES}
    assert 422 in seen or 400 in seen


def test_hostile_events_never_reach_the_log(writing: Writing) -> None:
    """Each value in a counter and in a name of an event."""
    before, accepted = len(writing.events()), 0
    for value in VALUES:
        if isinstance(value, int) or value in ("", "2026-11-01", "gpt-4o", "openai", "'", "\\") or value == {}:
            continue
        one = {"eventId": "01890a5d-ac96-774b-bcce-b302099a8057", "occurredAt": "2026-11-01", "ai": {"units": value}}
        named = {"eventId": one["eventId"], "occurredAt": "2026-11-01", "executions": value}
        for sent in (named, one if value is not None else named):
            status = refused(writing, "/v1/events", json.dumps([sent]).encode())
            accepted += status == 202
            assert status in (400, 422) or (status == 202 and isinstance(value, float | dict)), (sent, status)
    assert len(writing.events()) - before == accepted
