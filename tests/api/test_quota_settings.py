"""Plans, assignments and add-ons over HTTP: operators change them, the quota service takes them up, tenants see their
own."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from tests.api.writing import ALL, Writing

from taximeter_infra.stack.waiting import wait_until

pytestmark = pytest.mark.integration


def test_a_plan_is_made_assigned_and_limits(writing: Writing) -> None:
    """From the plan by way of its assignment to what the quota service says; an add-on raises it."""
    name, user = f"p{secrets.token_hex(5)}", "ada"
    operator = writing.operator

    def post(path: str, body: dict[str, Any]) -> Any:
        answer = writing.ask("POST", path, operator, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert post(f"/v1/quota-plans/{name}", {"name": "Pro", "multiplier": "1.5"})["multiplier"] == "1.5"
    plan = post(f"/v1/quota-plans/{name}/limits", {"meter": "total_tokens", "amount": 1000})
    assert [(one["limitId"], one["amount"]) for one in plan["limits"]] == [("total_tokens/month", "1000")]
    post(f"/v1/quota-plans/{name}/limits", {"meter": "cost_usd", "amount": "0.25", "window": "day", "level": "user"})
    given = post("/v1/quota-assignments", {"accountId": name, "planId": name})
    assert (given["level"], given["planId"]) == (f"account/{name}", name)
    add_on = {"addOnId": f"{name}-1", "accountId": name, "meter": "total_tokens", "amount": 100, "reason": "Bought"}
    assert post("/v1/quota-add-ons", add_on)["amount"] == "100"
    key = writing.key(name)

    def limits() -> list[tuple[str, str, str]]:
        found = writing.ask("GET", f"/v1/quota/{name}", key, params={"userId": user}).json()
        return [(one["meter"], one["limit"], one["added"]) for one in found.get("standings", ())]

    wanted = [("total_tokens", "1500", "100"), ("cost_usd", "0.375", "0")]
    assert wait_until(lambda: limits() == wanted, 60), limits()
    bar = writing.ask("GET", "/api/account/usage", key).json()
    assert (bar["limit"], bar["addOn"], bar["plan"]) == (1600, 100, name)
    post("/v1/quota-assignments", {"accountId": name, "planId": None})
    listed = writing.ask("GET", "/v1/quota-assignments", key).json()["assignments"]
    assert [one["planId"] for one in listed] == [name, None]


def test_tenants_see_their_own_settings_and_change_none(writing: Writing) -> None:
    """Neither another's plan, nor assignment, nor add-on; an account's admin key changes nothing, 403."""
    mine, rival = writing.site.account(10).account_id, writing.site.account(20).account_id
    add_on = {"addOnId": f"{rival}-1", "accountId": rival, "meter": "total_tokens", "amount": 1}
    assert writing.ask("POST", "/v1/quota-add-ons", writing.operator, json=add_on).status_code == 200
    key = writing.key(mine, ALL)
    for path in ("/v1/quota-plans", "/v1/quota-assignments", "/v1/quota-add-ons"):
        shown = writing.ask("GET", path, key)
        assert shown.status_code == 200
        assert rival not in shown.text
        assert rival in writing.ask("GET", path, writing.key(rival)).text
        assert rival in writing.ask("GET", path, writing.operator).text
        if path != "/v1/quota-plans":
            assert writing.ask("GET", path, key, params={"accountId": rival}).status_code == 404
    changes: list[tuple[str, dict[str, Any]]] = [
        (f"/v1/quota-plans/{mine}", {"multiplier": 2}),
        (f"/v1/quota-plans/{mine}/limits", {"meter": "total_tokens", "amount": None}),
        ("/v1/quota-assignments", {"accountId": mine, "planId": None}),
        ("/v1/quota-add-ons", {**add_on, "accountId": mine}),
    ]
    for path, body in changes:
        assert writing.ask("POST", path, key, json=body).status_code == 403, path
    (plan,) = writing.ask("GET", "/v1/quota-plans", key).json()["plans"]
    assert (plan["planId"], plan["limits"][0]["amount"]) == (mine, "10")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/quota-plans/x/limits", {"meter": "total_tokens", "amount": 1}),
        ("/v1/quota-plans/starter/limits", {"meter": "nonsense", "amount": 1}),
        ("/v1/quota-plans/starter/limits", {"meter": "total_tokens", "amount": 1.5}),
        ("/v1/quota-plans/starter/limits", {"meter": "total_tokens", "amount": -1}),
        ("/v1/quota-plans/starter/limits", {"meter": "total_tokens", "amount": 1, "window": "run", "level": "user"}),
        ("/v1/quota-plans/starter", {"multiplier": 0}),
        ("/v1/quota-assignments", {"planId": "starter"}),
        ("/v1/quota-assignments", {"accountId": "a", "planId": "no-such-plan"}),
        ("/v1/quota-assignments", {"accountId": "a", "userId": "u", "keyId": "k", "planId": None}),
        ("/v1/quota-add-ons", {"addOnId": "x", "accountId": "a", "meter": "nonsense", "amount": 1}),
        ("/v1/quota-add-ons", {
            "addOnId": "x", "accountId": "a", "meter": "total_tokens", "amount": 1, "endsAt": "2020-01-01",
        }),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(writing: Writing, path: str, body: dict[str, Any]) -> None:
    """422 with what to do."""
    answer = writing.ask("POST", path, writing.operator, json=body)
    assert (answer.status_code, answer.json()["type"]) == (422, "/docs#invalid"), answer.text
    assert answer.json()["detail"]
