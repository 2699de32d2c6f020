"""`POST /v1/events` and `POST /v1/usage`: what is answered is in the log, once, under the right account."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from tests.api.writing import Writing

from taximeter_consumers.api.keys import Scope
from taximeter_schemas.uuid7 import compose, new_event_id
from taximeter_schemas.words import Context, Kind, UsageType

pytestmark = pytest.mark.integration
AT = "2026-11-01T12:00:00Z"


def event(**more: Any) -> dict[str, Any]:
    """An event as an executor sends it."""
    return {"eventId": str(new_event_id()), "occurredAt": AT, "runId": "r", **more}


def account() -> str:
    """A name that no other test has."""
    return f"w{secrets.token_hex(5)}"


def test_accepted_events_are_in_the_log(writing: Writing) -> None:
    """MeterEvents and CloudEvents in one batch, each as it was said, under the key's account."""
    name = account()
    ai = {"provider": "openai", "model": "gpt-4o", "inputTokens": 7, "outputTokens": 3, "totalTokens": 10}
    plugin = {"pluginId": "ocr", "customUnits": {"page": "2.5"}}
    cloud_id = str(new_event_id())
    cloud = {"specversion": "1.0", "id": cloud_id, "source": "/go", "type": "t", "time": AT, "data": {"nodeId": "c"}}
    sent = [event(ai=ai), event(plugin=plugin, tags={"externalId": "o-7"}), cloud]
    answer = writing.ask("POST", "/v1/events", writing.key(name), json=sent)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["accepted"], answer.json()["refused"]) == (3, 0)
    stored = {str(one.event_id): one for one in writing.events_of(name)}
    assert list(stored)
    assert set(stored) == {sent[0]["eventId"], sent[1]["eventId"], cloud_id}
    first, second, third = stored[sent[0]["eventId"]], stored[sent[1]["eventId"]], stored[cloud_id]
    assert first.ai is not None
    assert (first.ai.input_tokens, first.ai.total_tokens) == (7, 10)
    assert second.plugin is not None
    assert str(second.plugin.custom_units["page"]) == "2.500000000"
    assert second.tags == {"externalId": "o-7"}
    assert (third.node_id, third.occurred_at.isoformat()) == ("c", "2026-11-01T12:00:00+00:00")


def test_good_events_of_a_batch_are_kept_and_bad_ones_named(writing: Writing) -> None:
    """207, with a word for each bad one that does not quote it."""
    name, rival = account(), account()
    bad = [
        (5, "an event is a JSON object"),
        (event(eventId="ab97f9bb-9d6f-4fc7-8d6b-4c0c1c4a3a55"), "eventId"),
        (event(eventId=str(compose(1, b"0123456789"))), "2020 and 2099"),
        (event(nonsense=1), "no such field"),
        (event(accountId=rival), "no such account"),
        (event(executions=-1), "negative"),
        (event(kind="adjustment", executions=-1), "scope admin"),
        (event(ai={"units": {"requests": -1}}), "negative"),
        (event(userId="a\x00b"), "control characters"),
        (event(userId="x" * 2_000), "at most"),
        (event(ai={"inputTokens": 2**63}), "ai.inputTokens"),
        (event(tags={str(number): "" for number in range(65)}), "entries"),
        ({"specversion": "0.3", "id": "x", "source": "s", "type": "t", "data": {}}, "specversion"),
        (event(plugin={"customUnits": {"page": "NaN"}}), "customUnits"),
    ]
    good = event()
    answer = writing.ask("POST", "/v1/events", writing.key(name), json=[*(one for one, _ in bad), good])
    assert answer.status_code == 207, answer.text
    said = answer.json()
    assert (said["accepted"], said["refused"]) == (1, len(bad))
    for (sent, word), result in zip(bad, said["results"], strict=False):
        assert result["status"] == "refused"
        assert word in result["problem"], (sent, result)
    assert said["results"][-1] == {
        "index": len(bad), "eventId": good["eventId"], "status": "accepted", "problem": None,
    }  # fmt: skip
    assert [str(one.event_id) for one in writing.events_of(name)] == [good["eventId"]]
    assert writing.events_of(rival) == []


def test_a_batch_without_a_good_event_is_refused(writing: Writing) -> None:
    """422 with the results; as are no events, too many, and what is no list."""
    key = writing.key(account())
    answer = writing.ask("POST", "/v1/events", key, json=[{}])
    assert (answer.status_code, answer.json()["type"]) == (422, "/docs#invalid")
    assert answer.json()["results"][0]["status"] == "refused"
    for body in ([], [event()] * 1_001, {"events": []}, "x"):
        assert writing.ask("POST", "/v1/events", key, json=body).status_code == 422, body


def test_only_keys_that_may_ingest_send(writing: Writing) -> None:
    """403 for a key that reads; an operator's key sends for any account, and with admin it adjusts."""
    name = account()
    reader = writing.key(name, frozenset({Scope.READ}))
    for path, body in (("/v1/events", [event()]), ("/v1/usage", usage())):
        assert writing.ask("POST", path, reader, json=body).status_code == 403
    adjustment = event(accountId=name, kind="adjustment", executions=-1)
    assert writing.ask("POST", "/v1/events", writing.operator, json=[adjustment]).status_code == 202
    assert [one.executions for one in writing.events_of(name)] == [-1]


def usage(**more: Any) -> dict[str, Any]:
    """A use as a service states it."""
    return {"context": "customer", "transactionId": "t-1", "provider": "openai", "model": "gpt-4o", **more}


def test_a_use_is_an_event_with_the_numbers_that_were_said(writing: Writing) -> None:
    """Audio seconds as milliseconds, cached tokens as a part of the input, the external id as a tag."""
    name = account()
    body = usage(
        externalId="o-7", usageType="audio_stt", inputTokens=1000, cachedTokens=400, outputTokens=20,
        audioDurationSeconds=12.3456, occurredAt=AT, tags={"team": "blue"},
    )  # fmt: skip
    answer = writing.ask("POST", "/v1/usage", writing.key(name), json=body)
    assert answer.status_code == 202, answer.text
    (stored,) = writing.events_of(name)
    said = {"eventId": str(stored.event_id), "accountId": name, "transactionId": "t-1", "totalTokens": 1020}
    assert answer.json() == said
    assert stored.ai is not None
    assert (stored.ai.input_tokens, stored.ai.cache_read_tokens, stored.ai.audio_ms) == (1000, 400, 12_346)
    assert (stored.ai.usage_type, stored.kind, stored.executions) == (UsageType.AUDIO_STT, Kind.USAGE, 0)
    assert stored.tags == {"team": "blue", "external_id": "o-7"}


def test_a_repeat_with_an_idempotency_key_is_the_same_event(writing: Writing) -> None:
    """By the key's own clock where it is a UUIDv7, else by occurredAt, which it needs then; not across accounts."""
    name, other = account(), account()
    keys = {one: writing.key(one) for one in (name, other)}

    def sent(whose: str, idempotency: str, **more: Any) -> Any:
        return writing.ask(
            "POST", "/v1/usage", keys[whose], json=usage(**more), headers={"Idempotency-Key": idempotency}
        )

    own = str(new_event_id())
    ids = [sent(name, own).json()["eventId"] for _ in range(2)]
    ids += [sent(name, "step 3", occurredAt=AT).json()["eventId"] for _ in range(2)]
    ids += [sent(other, own).json()["eventId"], sent(name, "step 4", occurredAt=AT).json()["eventId"]]
    assert [ids[0], ids[2]] == [ids[1], ids[3]]
    assert len(set(ids)) == 4
    assert sent(name, "step 3").status_code == 422
    assert sent(name, "step 3", occurredAt="2019-12-31").status_code == 422


def test_what_a_use_lacks_is_said(writing: Writing) -> None:
    """A customer's needs a transaction, and an account or an external id; the system's neither; parts are no more than
    the whole."""
    name = account()
    key, operator = writing.key(name), writing.operator
    lacking = usage()
    del lacking["transactionId"]
    for body, who in (
        (lacking, key),
        (usage(), operator),
        (usage(cachedTokens=1), key),
        (usage(context="unknown"), key),
        (usage(inputTokens=-1), key),
        (usage(audioDurationSeconds="NaN"), key),
        (usage(provider=""), key),
        (usage(more=1), key),
    ):
        assert writing.ask("POST", "/v1/usage", who, json=body).status_code == 422, body
    lacking["context"] = "system"
    assert writing.ask("POST", "/v1/usage", operator, json=lacking).status_code == 202
    assert writing.ask("POST", "/v1/usage", operator, json=usage(externalId="o")).status_code == 202
    assert writing.ask("POST", "/v1/usage", key, json=usage(accountId=account())).status_code == 404
    assert writing.events_of(name) == []
    assert Context.SYSTEM in {one.context for one in writing.events_of("")}
