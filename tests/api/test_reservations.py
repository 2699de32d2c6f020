"""`/v1/reservations` and `/v1/quota`: what the quota service decides, in HTTP's words, for the account of the key."""

from __future__ import annotations

import json
import secrets
from decimal import Decimal
from typing import Any

import pytest
from tests.api.writing import Writing
from tests.quota.sdk.conftest import AGO

from taximeter_consumers.api.keys import Scope
from taximeter_consumers.quota.plans import named_level
from taximeter_consumers.quota.plans.assignments import Assignment, Membership
from taximeter_consumers.quota.plans.plans import Limit, QuotaPlan
from taximeter_consumers.quota.plans.setting_rows import append
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.quota.limits import Window

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def account(writing: Writing) -> str:
    """An account with 1,000 tokens a month."""
    return writing.site.account(1_000).account_id


def tokens(count: float, **more: Any) -> dict[str, Any]:
    """A body."""
    return {"amounts": {"total_tokens": count}, **more}


def used(writing: Writing, key: str, account: str) -> tuple[str, str, str]:
    """Of the month: used, held and remaining."""
    answer = writing.ask("GET", f"/v1/quota/{account}", key)
    assert answer.status_code == 200, answer.text
    (standing,) = answer.json()["standings"]
    return standing["used"], standing["held"], standing["remaining"]


def test_a_reservation_is_held_confirmed_and_counted(writing: Writing, account: str) -> None:
    """From reserve to confirm the numbers are exact, and every call may be repeated."""
    key = writing.key(account)
    again = {"Idempotency-Key": "work-1"}
    made = writing.ask("POST", "/v1/reservations", key, json=tokens(300, ttlSeconds=600), headers=again)
    assert made.status_code == 201, made.text
    body = made.json()
    assert (body["state"], body["amounts"], body["accountId"]) == ("open", {"total_tokens": "300"}, account)
    assert body["transactionId"] == body["reservationId"]
    repeated = writing.ask("POST", "/v1/reservations", key, json=tokens(300, ttlSeconds=600), headers=again)
    assert repeated.json()["reservationId"] == body["reservationId"]
    assert used(writing, key, account) == ("0", "300", "700")
    place = f"/v1/reservations/{body['reservationId']}"
    assert writing.ask("GET", place, key).json()["state"] == "open"
    for _ in range(2):
        done = writing.ask("POST", f"{place}/confirm", key, json={"actual": {"total_tokens": 120}})
        assert done.status_code == 200, done.text
        said = {"reservationId": body["reservationId"], "transactionId": body["transactionId"], "accountId": account}
        assert done.json() == {**said, "state": "settled"}
    assert used(writing, key, account) == ("120", "0", "880")
    assert writing.ask("POST", f"{place}/release", key).status_code == 409
    assert writing.ask("POST", "/v1/reservations", key, json=tokens(1), headers=again).status_code == 409


def test_a_released_reservation_gives_all_back(writing: Writing, account: str) -> None:
    """And is released when released again."""
    key = writing.key(account)
    before = used(writing, key, account)
    made = writing.ask("POST", "/v1/reservations", key, json=tokens(10)).json()
    for _ in range(2):
        done = writing.ask("POST", f"/v1/reservations/{made['reservationId']}/release", key)
        assert (done.status_code, done.json()["state"]) == (200, "released")
    assert used(writing, key, account) == before


def test_a_denial_says_which_limit_and_what_is_left(writing: Writing, account: str) -> None:
    """402 with the standing; a check says the same and holds nothing."""
    key = writing.key(account)
    _, _, left = used(writing, key, account)
    refused = writing.ask("POST", "/v1/reservations", key, json=tokens(int(left) + 1))
    assert (refused.status_code, refused.json()["type"]) == (402, "/docs#quota-exceeded")
    assert refused.headers["content-type"] == "application/problem+json"
    standing = refused.json()["standing"]
    assert (standing["level"], standing["remaining"]) == (f"account/{account}", left)
    assert f"{left} are left" in refused.json()["detail"].replace(",", "")
    check = writing.ask("POST", "/v1/quota/check", key, json=tokens(int(left) + 1)).json()
    assert (check["allowed"], check["refusedBy"]["remaining"]) == (False, left)
    assert writing.ask("POST", "/v1/quota/check", key, json=tokens(int(left))).json()["allowed"] is True


def test_what_is_denied_for_a_minute_is_429(writing: Writing) -> None:
    """With Retry-After until the limit resets."""
    name = f"m{secrets.token_hex(5)}"
    limit = Limit(name, "pace", AGO, "total_tokens", Window.MINUTE, Decimal(5))
    assignment = Assignment(named_level.account(name), AGO, name)
    append(writing.site.clickhouse, [QuotaPlan(name, AGO, name), limit, assignment])
    key = writing.key(name)
    assert wait_until(lambda: bool(writing.ask("GET", f"/v1/quota/{name}", key).json().get("standings")), 60)
    refused = writing.ask("POST", "/v1/reservations", key, json=tokens(6))
    assert (refused.status_code, refused.json()["type"]) == (429, "/docs#too-many-requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 61


def test_a_tenant_never_sees_or_settles_another(writing: Writing) -> None:
    """404 for another's reservation and account, also where both are decided together in one organisation."""
    organisation = f"o{secrets.token_hex(5)}"
    mine = writing.site.account(1_000, organisation=organisation).account_id
    rival = f"rival{secrets.token_hex(5)}"
    append(writing.site.clickhouse, [Membership(rival, AGO, organisation)])
    key, theirs = writing.key(mine), writing.key(rival)
    assert wait_until(lambda: bool(writing.ask("GET", f"/v1/quota/{rival}", theirs).json().get("standings")), 60)
    made = writing.ask("POST", "/v1/reservations", theirs, json=tokens(10)).json()
    place = f"/v1/reservations/{made['reservationId']}"
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", place, {}),
        ("GET", place, {"params": {"accountId": rival}}),
        ("POST", f"{place}/confirm", {"json": {"actual": {"total_tokens": 1}}}),
        ("POST", f"{place}/confirm", {"json": {"accountId": rival}}),
        ("POST", f"{place}/release", {}),
        ("POST", f"{place}/release", {"json": {"accountId": rival}}),
        ("POST", "/v1/reservations", {"json": tokens(1, accountId=rival)}),
        ("GET", "/v1/reservations", {"params": {"accountId": rival}}),
        ("POST", "/v1/quota/check", {"json": tokens(1, accountId=rival)}),
        ("GET", f"/v1/quota/{rival}", {}),
    ]
    for method, path, more in asked:
        answer = writing.ask(method, path, key, **more)
        assert answer.status_code == 404, (path, answer.text)
        assert "rival" not in answer.text
    for path in (f"/v1/quota/{mine}", "/v1/reservations"):
        shown = writing.ask("GET", path, key)
        assert shown.status_code == 200
        assert made["reservationId"] not in shown.text
        assert rival not in shown.text
    assert writing.ask("GET", place, theirs).json()["state"] == "open"
    named = {"accountId": rival}
    assert writing.ask("POST", f"{place}/confirm", writing.operator, json={}).status_code == 422
    assert writing.ask("POST", f"{place}/confirm", writing.operator, json=named).status_code == 200


def test_scopes_are_kept(writing: Writing, account: str) -> None:
    """Reading does not reserve, and sending does not read."""
    reads, sends = (writing.key(account, frozenset({scope})) for scope in (Scope.READ, Scope.INGEST))
    assert writing.ask("POST", "/v1/reservations", reads, json=tokens(1)).status_code == 403
    assert writing.ask("GET", f"/v1/quota/{account}", sends).status_code == 403


@pytest.mark.parametrize(
    "amounts", [{}, {"nonsense": 1}, {"total_tokens": -1}, {"total_tokens": 1.5}, {"total_tokens": "1e99"}, {"": 1}, []]
)
def test_amounts_that_are_none_are_refused(writing: Writing, account: str, amounts: Any) -> None:
    """422 before anybody is asked; no value is quoted."""
    key = writing.key(account)
    for path in ("/v1/reservations", "/v1/quota/check"):
        answer = writing.ask("POST", path, key, json={"amounts": amounts})
        assert answer.status_code == 422, answer.text
        assert "nonsense" not in json.dumps(answer.json()["detail"])


@pytest.mark.parametrize("name", ["x", "r.", "r.0.0", "r." + "0" * 16 + "." + "0" * 32, "%00", "r." + "é" * 40])
def test_a_reservation_that_never_was_is_404(writing: Writing, account: str, name: str) -> None:
    """Whatever its name looks like."""
    key = writing.key(account)
    assert writing.ask("GET", f"/v1/reservations/{name}", key).status_code == 404
    assert writing.ask("POST", f"/v1/reservations/{name}/confirm", key, json={}).status_code == 404
