"""The usage bar, the workers' charges, and simulated tokens: exact numbers, and limits that hold."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.conftest import Get
from tests.api.use import MINE, RIVAL
from tests.api.writing import ALL, WORKER_KEY, Writing, services_at
from tests.quota.sdk.conftest import Site

from taximeter_consumers.api.charging import Charge, charge
from taximeter_consumers.api.event_sender import KafkaEventSender
from taximeter_consumers.api.pace import Pace
from taximeter_consumers.api.reads.account_usage import bar
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.quota.limits import Rule, Window
from taximeter_schemas.registry import PackagedRegistry
from taximeter_schemas.settings import KafkaSettings


def rule(amount: Decimal, added: Decimal = Decimal(0)) -> Rule:
    """A month's limit."""
    return Rule(limit_id="p/m", meter="total_tokens", window=Window.MONTH, amount=amount, added=added, plan_id="p")


@given(
    used=st.decimals(0, 10**15, places=6),
    amount=st.decimals(0, 10**15, places=6),
    added=st.decimals(0, 10**9, places=0),
)
def test_the_bar_never_shows_more_room_than_there_is(used: Decimal, amount: Decimal, added: Decimal) -> None:
    """Used is rounded up, the limit down; used and remaining make the limit, or nothing is left."""
    shown = bar("2026-11", used, rule(amount, added))
    assert 0 <= shown.used - used < 1
    if shown.limit is None:
        assert amount + added == 0
        assert (shown.remaining, shown.percent) == (None, 0)
        return
    assert shown.remaining is not None
    assert 0 <= amount + added - shown.limit < 1
    assert shown.remaining == max(0, shown.limit - shown.used)
    assert (shown.percent >= 100) == (shown.used >= shown.limit)


def test_an_account_without_a_limit_has_a_bar() -> None:
    """Null limit and remaining, zero percent."""
    shown = bar("2026-11", Decimal("10.2"), None)
    assert (shown.used, shown.limit, shown.remaining, shown.percent, shown.plan) == (11, None, None, 0, None)


def test_a_pace_lets_so_many_a_minute_through() -> None:
    """Each caller by himself; after a minute again."""
    now = 0.0
    pace = Pace(lambda: now, 2)
    assert [pace.wait_of("a"), pace.wait_of("a"), pace.wait_of("b")] == [0, 0, 0]
    now = 20.0
    assert pace.wait_of("a") == 40.0
    now = 60.0
    assert pace.wait_of("a") == 0


@pytest.mark.integration
def test_the_bar_is_what_sql_says(get: Get, get_mine: Get, sql: ClickHouse) -> None:
    """Without a quota service: the tokens of the month's usage, of the key's account alone."""
    month = datetime.now(UTC).strftime("%Y-%m")
    total = "SELECT sum(total_tokens) FROM quota_usage WHERE account_id = {a:String} AND formatDateTime(minute, '%Y-%m') = {m:String}"  # noqa: E501 - one query
    for account, asked in ((MINE, get_mine), (RIVAL, get)):
        found = asked("/api/account/usage", accountId=account)
        assert (found["month"], found["used"]) == (month, int(sql.scalar(total, {"a": account, "m": month})))
        assert (found["limit"], found["remaining"], found["percent"], found["plan"]) == (None, None, 0, None)


def charged(writing: Writing, account: str, tokens: Any, **more: Any) -> bool:
    """Whether a worker's charge of so many input and no output tokens succeeds."""
    body = {"flowId": "f", "userId": account, "inputTokens": tokens, "outputTokens": 0, "model": "m", "aiSystem": "s"}
    headers = {"INTERNAL_API_KEY": WORKER_KEY, **more}
    answer = writing.client.post("/worker/charge-tokens", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"success"}
    return bool(answer.json()["success"])


@pytest.mark.integration
def test_charges_count_until_the_limit_and_no_further(writing: Writing) -> None:
    """Fractions are rounded up; what does not fit is not charged; a repeat with its key charges once."""
    account = writing.site.account(100).account_id
    key = writing.key(account)

    def shown() -> tuple[int, int, float]:
        found = writing.ask("GET", "/api/account/usage", key).json()
        assert (found["limit"], found["plan"], found["addOn"]) == (100, account, 0)
        return found["used"], found["remaining"], found["percent"]

    assert shown() == (0, 100, 0)
    assert charged(writing, account, 10.2)
    assert shown() == (11, 89, 11)
    assert charged(writing, account, "19.0", **{"Idempotency-Key": "call-1"})
    assert charged(writing, account, 19, **{"Idempotency-Key": "call-1"})
    assert shown() == (30, 70, 30)
    assert not charged(writing, account, 71)
    assert shown() == (30, 70, 30)
    assert charged(writing, account, 70)
    assert not charged(writing, account, 1)
    assert shown() == (100, 0, 100)
    stored = writing.events_of(account)
    assert sorted(event.ai.total_tokens for event in stored if event.ai) == [11, 19, 70]
    assert {(event.workflow_id, event.user_id) for event in stored} == {("f", account)}
    assert len({event.transaction_id for event in stored}) == 3


@pytest.mark.integration
def test_only_the_deployments_own_secret_charges(writing: Writing) -> None:
    """401 for any other, and for keys of the API; a body that is none is a 4xx."""
    body = {"flowId": "f", "userId": "u", "inputTokens": 1, "outputTokens": 0, "model": "m", "aiSystem": "s"}
    headers: list[dict[str, str]] = [{}, {"INTERNAL_API_KEY": ""}, {"INTERNAL_API_KEY": WORKER_KEY + "x"}]
    headers += [{"Authorization": f"Bearer {writing.operator}"}, {"X-API-Key": WORKER_KEY}]
    for sent in headers:
        answer = writing.client.post("/worker/charge-tokens", json=body, headers=sent)
        assert (answer.status_code, answer.json()["type"]) == (401, "/docs#no-key")
    right = {"X-Internal-Api-Key": WORKER_KEY}
    for wrong in ({"inputTokens": -1}, {"inputTokens": "NaN"}, {"userId": ""}, {"model": None}, {"more": 1}):
        answer = writing.client.post("/worker/charge-tokens", json=body | wrong, headers=right)
        assert answer.status_code == 422, wrong


@pytest.mark.integration
def test_a_charge_fails_without_a_word_of_why_when_kafka_is_away(writing: Writing) -> None:
    """{"success": false} and 200: nothing listens where the events go, and the hold is given back."""
    account = writing.site.account(50).account_id
    away = KafkaSettings(bootstrap_servers="127.0.0.1:1", options={"message.timeout.ms": "300"})
    services = services_at(writing.site)
    nowhere = KafkaEventSender(away, "events", PackagedRegistry())
    object.__setattr__(services, "events", nowhere)
    try:
        found = charge(services, Charge(account, account, "s", "m", 50, 0))
        assert (found.done, bool(found.reason)) == (False, True)
    finally:
        services.close()
    assert charged(writing, account, 50)


@pytest.mark.integration
def test_simulated_tokens_move_the_bar(writing: Writing) -> None:
    """For admins, so many times a minute, as events that say what they are; a limit holds for them, too."""
    account = writing.site.account(1_000).account_id
    key = writing.key(account, ALL)
    path = "/api/test/simulate-tokens"
    first = writing.ask("POST", path, key, json={"tokens": 250}).json()
    assert (first["ok"], first["tokensAdded"]) == (True, 250)
    assert (first["summary"]["used"], first["summary"]["percent"]) == (250, 25.0)
    over = writing.ask("POST", path, key, json={"tokens": 751}).json()
    assert (over["ok"], over["tokensAdded"], over["summary"]["used"]) == (False, 0, 250)
    assert "750 are left" in over["message"]
    (stored,) = writing.events_of(account)
    assert stored.tags == {"simulated": "true"}
    for _ in range(3):
        assert writing.ask("POST", path, key, json={"tokens": 1}).status_code == 200
    refused = writing.ask("POST", path, key, json={"tokens": 1})
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    reader = writing.key(account)
    assert writing.ask("POST", path, reader, json={"tokens": 1}).status_code == 403
    for tokens in (0, -1, 1.5, "x", None):
        assert writing.ask("POST", path, writing.key(account, ALL), json={"tokens": tokens}).status_code == 422


@pytest.mark.integration
def test_a_tenant_never_sees_or_moves_the_bar_of_another(writing: Writing) -> None:
    """404 for another's account."""
    key = writing.key(f"w{secrets.token_hex(5)}", ALL)
    rival = writing.site.account(77).account_id
    seen = writing.ask("GET", "/api/account/usage", key, params={"accountId": rival})
    moved = writing.ask("POST", "/api/test/simulate-tokens", key, json={"tokens": 1, "accountId": rival})
    assert (seen.status_code, moved.status_code) == (404, 404)
    assert writing.ask("GET", "/api/account/usage", key).json()["limit"] is None
    assert writing.events_of(rival) == []

    def bar() -> tuple[int, int | None]:
        shown = writing.ask("GET", "/api/account/usage", writing.operator, params={"accountId": rival}).json()
        return shown["used"], shown["limit"]

    # A plan that was just assigned counts from the service's next tick on.
    assert wait_until(lambda: bar()[1] is not None, 60)
    assert bar() == (0, 77)
    assert writing.ask("GET", "/api/account/usage", writing.operator).status_code == 422


@pytest.mark.integration
def test_simulating_is_switched_off_unless_the_operator_says_so(serving: Site, writing: Writing) -> None:
    """404, whoever asks."""
    from tests.api.writing import writing_at

    with writing_at(serving, simulate=False) as off:
        body = {"tokens": 1, "accountId": "a"}
        assert off.ask("POST", "/api/test/simulate-tokens", off.operator, json=body).status_code == 404
