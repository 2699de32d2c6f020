"""Words become requests: names, amounts, times, secrets."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from taximeter.client import AsyncTaximeter, Taximeter
from taximeter.client.call import IDEMPOTENCY
from taximeter.client.calls import ingest, metering, prices, quota_settings, quotas
from taximeter.client.terms import Terms
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.event import AiUsage, MeterEvent, PluginUsage
from taximeter_schemas.uuid7 import birth_of, new_event_id

KEY = "tm_0123456789abcdef_a-secret-of-a-key"
NOON = datetime(2026, 11, 1, 14, tzinfo=timezone(timedelta(hours=2)))


def test_a_query_has_the_apis_names() -> None:
    """camelCase, `from` for since, lists as repeats, UTC, and nothing for None."""
    call = metering.summarise(group_by=["user", "model"], granularity="day", since=NOON, until=date(2026, 12, 1),
                              account_id=None)  # fmt: skip
    assert call.query == (
        ("groupBy", "user"), ("groupBy", "model"), ("granularity", "day"), ("from", "2026-11-01T12:00:00Z"),
        ("until", "2026-12-01"),
    )  # fmt: skip
    assert metering.read_run("r", attempts=False).query == (("attempts", "false"),)


@pytest.mark.parametrize("name", ["a/b", "../x", "ä b", "%2f", "a?b#c", "{runId}"])
def test_a_name_stays_one_step_of_the_path(name: str) -> None:
    """Whatever it has in it."""
    from urllib.parse import unquote

    url = metering.read_run(name).url
    assert url.count("/") == 4
    assert not {"?", "#"} & set(url)
    assert unquote(url.rpartition("/")[2]) == name


def test_a_body_has_exact_amounts() -> None:
    """Decimals as they are, never as floats; a time without a zone is refused."""
    call = quota_settings.set_limit("p", "cost_usd", Decimal("0.1"), thresholds=[Decimal("99.5")], valid_from=NOON)
    assert json.loads(call.body or b"") == {
        "meter": "cost_usd", "amount": "0.1", "thresholds": ["99.5"], "validFrom": "2026-11-01T12:00:00Z",
    }  # fmt: skip
    assert json.loads(quota_settings.assign_plan(None, account_id="a").body or b"") == {
        "accountId": "a",
        "planId": None,
    }
    with pytest.raises(ValueError, match="zone"):
        prices.estimate_cost(provider="p", model="m", at=datetime(2026, 11, 1))  # noqa: DTZ001 - what is refused
    with pytest.raises(ValueError, match="JSON"):
        prices.estimate_cost(provider="p", model="m", input_tokens=float("nan"))  # type: ignore[arg-type]  # refused


def test_the_client_makes_a_key_where_the_route_takes_one() -> None:
    """One for each call, of the kind that needs no occurredAt; the caller's own wins."""
    first, second = (quotas.reserve({"total_tokens": 1}).headers[IDEMPOTENCY] for _ in range(2))
    assert first != second
    made = ingest.send_usage(provider="p", model="m", context="system")
    birth_of(UUID(made.headers[IDEMPOTENCY]))
    assert b"dempotency" not in (made.body or b"")
    own = ingest.send_usage(provider="p", model="m", context="system", idempotency_key="order-7", occurred_at=NOON)
    assert own.headers[IDEMPOTENCY] == "order-7"


def test_events_go_as_the_api_takes_them() -> None:
    """Names of groups too; what the caller named stays as it is."""
    event = MeterEvent(
        event_id=new_event_id(), occurred_at=NOON, run_id="r", tags={"a_tag": "x"},
        ai=AiUsage(provider="p", model="m", input_tokens=3, units={"web_searches": 1}),
        plugin=PluginUsage(plugin_id="ocr", custom_units={"a_page": Decimal("2.5")}),
    )  # fmt: skip
    (sent,) = json.loads(ingest.send_events([event]).body or b"")
    assert sent == {
        "eventId": str(event.event_id), "occurredAt": "2026-11-01T12:00:00Z", "runId": "r", "tags": {"a_tag": "x"},
        "ai": {"provider": "p", "model": "m", "inputTokens": 3, "units": {"web_searches": 1}},
        "plugin": {"pluginId": "ocr", "customUnits": {"a_page": "2.500000000"}},
    }  # fmt: skip


@pytest.mark.parametrize("kind", [Taximeter, AsyncTaximeter])
def test_no_text_of_a_client_has_its_key(kind: type[Taximeter] | type[AsyncTaximeter]) -> None:
    """Neither its repr nor that of what it is made of."""
    client = kind("https://meter.example.com", KEY, internal_key=KEY)
    assert repr(client) == f"{kind.__name__}('https://meter.example.com')"
    assert "secret" not in repr(client.transport.terms)


@pytest.mark.parametrize("url", ["", "meter.example.com", "ftp://x", "https://", "https://u:p@x", "https://x?a=1"])
def test_a_wrong_address_is_refused_at_once(url: str) -> None:
    """With the mend."""
    with pytest.raises(Misconfigured, match="mend"):
        Terms(url)


@pytest.mark.parametrize("key", ["tm_x\n", " tm_x", "tm_ü", "a\rb"])
def test_a_key_that_no_header_carries_is_refused_at_once(key: str) -> None:
    """Without quoting it."""
    with pytest.raises(Misconfigured) as refused:
        Terms("https://x", key)
    assert key.strip() not in str(refused.value)


def test_each_route_gets_its_own_secret_and_no_other() -> None:
    """Workers' routes the deployment's, probes none; a secret that is missing is named."""
    from taximeter.client.calls import operations

    terms = Terms("https://x", KEY, "internal")
    charge = ingest.charge_tokens(flow_id="f", user_id="u", input_tokens=1, output_tokens=1, model="m", ai_system="s")
    assert terms.headers(metering.read_run("r"))["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(terms.headers(charge))
    assert terms.headers(charge)["X-Internal-Api-Key"] == "internal"
    assert KEY not in str(terms.headers(operations.is_ready()))
    with pytest.raises(Misconfigured, match="TAXIMETER_API_KEY"):
        Terms("https://x").headers(metering.read_run("r"))


def test_the_environment_makes_a_client() -> None:
    """And says which variable it lacks."""
    terms = Terms.from_environment({"TAXIMETER_API_URL": "https://x/base/", "TAXIMETER_API_KEY": KEY})
    assert terms.url(metering.read_run("r")) == "https://x/base/api/metering/runs/r"
    with pytest.raises(Misconfigured, match="TAXIMETER_API_URL"):
        Terms.from_environment({})
