"""When a call is sent again, and when its refusal is raised: decided without a network."""

from __future__ import annotations

import json
import pickle
from random import Random
from typing import Any

import pytest

from taximeter.client import ApiProblem, Conflict, Invalid, LimitReached, NotAllowed, NotFound, Unavailable
from taximeter.client.call import Call, Reply
from taximeter.client.calls import ingest, metering, quota_settings, quotas
from taximeter.client.conversation import Heard, Lost, Patience, Send, Wait, conversation
from taximeter_schemas.errors import Denied, Retryable, TaximeterError

RUN = metering.read_run("r")
PATIENCE = Patience(retries=3, first_wait=1.0, longest_wait=20.0)
DOWN = Lost("ConnectError", was_sent=False)
BROKEN = Lost("ReadError")


def reply(status: int, body: object = None, **headers: str) -> Reply:
    """An answer with headers like `retry_after`."""
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode())


def problem(status: int, slug: str, **members: Any) -> Reply:
    """A refusal as the API writes it."""
    told = {"type": f"/docs#{slug}", "title": "t", "status": status, "detail": "do this", "instance": "abc123"}
    return reply(status, {**told, **members}, **({"retry_after": "3"} if status in (429, 503) else {}))


def held(call: Call[Any], *answers: Heard, chance: float = 1.0) -> tuple[list[float], Any]:
    """Takes the steps of a call with these answers: the waits, and what came of it."""

    class Fixed(Random):
        def random(self) -> float:
            return chance

    steps, waits, left = conversation(call, PATIENCE, Fixed()), [], list(answers)
    heard: Heard = None
    while True:
        try:
            step = steps.send(heard)
        except StopIteration as end:
            return waits, end.value
        except ApiProblem as error:
            assert left == []
            return waits, error
        if isinstance(step, Wait):
            waits.append(step.seconds)
            heard = None
        else:
            assert isinstance(step, Send)
            heard = left.pop(0)


def test_a_question_is_asked_again_with_growing_waits() -> None:
    """Nobody there, a broken connection, a server in between that is away; then the answer counts."""
    alive = metering.summarise()
    good = reply(200, {"rows": [], "hasMore": False, "countedBy": "occurredAt", "from": None, "until": None})
    waits, answer = held(alive, DOWN, BROKEN, reply(502), good)
    assert waits == [1.0, 2.0, 4.0]
    assert answer.rows == ()


def test_waits_differ_by_chance() -> None:
    """By half at most, so that clients do not come back together."""
    waits, _ = held(RUN, DOWN, DOWN, DOWN, DOWN, chance=0.0)
    assert waits == [0.5, 1.0, 2.0]


def test_after_the_last_try_the_refusal_is_raised() -> None:
    """Unavailable, which is Retryable."""
    waits, error = held(RUN, DOWN, DOWN, DOWN, DOWN)
    assert len(waits) == 3
    assert isinstance(error, Unavailable)
    assert isinstance(error, Retryable)
    assert error.status == 0
    assert "ConnectError" in str(error)


def test_the_apis_own_wait_is_kept() -> None:
    """Retry-After is never undercut."""
    waits, error = held(RUN, *[problem(503, "unavailable")] * 4)
    assert waits == [3.0, 3.0, 4.0]
    assert (error.status, error.type, error.request_id, error.retry_after) == (503, "unavailable", "abc123", 3.0)


def test_a_long_wait_is_left_to_the_caller() -> None:
    """The refusal comes at once, with how long."""
    waits, error = held(RUN, reply(503, {}, retry_after="3600"))
    assert (waits, error.retry_after) == ([], 3600.0)


@pytest.mark.parametrize(
    "call",
    [
        ingest.send_events([]),
        ingest.send_usage(provider="p", model="m", context="system"),
        ingest.charge_tokens(flow_id="f", user_id="u", input_tokens=1, output_tokens=1, model="m", ai_system="s"),
        quotas.reserve({"total_tokens": 1}),
        quotas.confirm("r"),
        quotas.release("r"),
        quotas.check_quota({"total_tokens": 1}),
    ],
    ids=lambda call: call.path,
)
def test_changes_that_count_once_are_sent_again(call: Call[Any]) -> None:
    """By their own ids or keys, the same ones each time."""
    waits, error = held(call, BROKEN, problem(404, "not-found"))
    assert len(waits) == 1
    assert isinstance(error, NotFound)


def test_other_changes_are_sent_once() -> None:
    """Where it may have arrived the caller looks; where it certainly has not, it is sent."""
    change = quota_settings.change_plan("p", name="n")
    assert held(change, BROKEN)[0] == []
    assert held(change, problem(503, "unavailable"))[0] == []
    assert len(held(change, DOWN, BROKEN)[0]) == 1


def test_a_pace_is_waited_for_and_a_quota_is_not() -> None:
    """429 of too many requests passes; 429 and 402 of a limit are the answer."""
    waits, _ = held(RUN, problem(429, "too-many-requests"), problem(404, "not-found"))
    assert waits == [3.0]
    standing = {"remaining": "0"}
    for status, slug in ((429, "too-many-requests"), (402, "quota-exceeded")):
        waits, error = held(quotas.reserve({"total_tokens": 1}), problem(status, slug, standing=standing))
        assert waits == []
        assert isinstance(error, LimitReached)
        assert isinstance(error, Denied)
        assert error.standing == standing


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Invalid), (401, NotAllowed), (403, NotAllowed), (404, NotFound), (409, Conflict), (422, Invalid),
     (418, ApiProblem), (500, Unavailable)],
)  # fmt: skip
def test_refusals_have_kinds_and_are_not_repeated(status: int, kind: type[ApiProblem]) -> None:
    """All of them TaximeterErrors that say what to do."""
    waits, error = held(RUN, problem(status, "slug", errors=[{"in": "query", "field": "from", "problem": "bad"}]))
    assert waits == []
    assert type(error) is kind
    assert isinstance(error, TaximeterError)
    assert str(error) == f"do this ({status}, slug, request abc123)"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.more) == (kind, str(error), error.more)
    if isinstance(error, Invalid):
        assert error.errors[0]["field"] == "from"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"x"', b"\xff", b"[" * 100_000])
def test_what_no_api_said_is_understood_anyway(body: bytes) -> None:
    """A proxy's refusal has a status; a proxy's page instead of an answer is an outage."""
    _, refused = held(RUN, Reply(404, {}, body))
    assert isinstance(refused, NotFound)
    _, garbled = held(RUN, Reply(200, {}, body))
    assert isinstance(garbled, Unavailable)
    assert "proxy" in str(garbled)


def test_members_that_are_new_are_no_error() -> None:
    """An older client reads a newer API."""
    more = {"isReady": True, "reasons": [], "clickhouse": True, "kafka": None, "rollupLagSeconds": 0.5, "news": {}}
    from taximeter.client.calls.operations import is_ready

    body = {**more, "sinkUnreadRecords": 1, "lastStoredSeconds": None}
    assert held(is_ready(), reply(200, body))[1].is_ready
    assert not held(is_ready(), reply(503, {**body, "isReady": False}))[1].is_ready
