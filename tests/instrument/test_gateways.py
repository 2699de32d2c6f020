"""Gateways of the user's own: named by host or base URL, and by path where one host speaks as several."""

from __future__ import annotations

import json

import httpx
import pytest
from tests.instrument.loopback import Answer, Loopback

from taximeter.instrument import instrument
from taximeter.instrument.policy import Asked, Policy, gateway
from taximeter.testing import RecordedMeter

CHAT = {"id": "c-1", "model": "gpt-4o", "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}}
MESSAGE = {
    "id": "m-1",
    "type": "message",
    "model": "claude-3-5-haiku",
    "usage": {"input_tokens": 7, "output_tokens": 2},
}


@pytest.mark.parametrize(
    ("named", "name"),
    [
        ("Gateway.internal", "gateway.internal"),
        ("localhost:4000", "localhost:4000"),
        ("http://localhost:4000/", "localhost:4000"),
        ("https://user:secret@Gateway.internal/openai/v1/", "gateway.internal/openai/v1"),
        (" gateway.internal/v1/models/a@b ", "gateway.internal/v1/models/a@b"),
    ],
)
def test_a_gateway_is_named_by_host_or_base_url(named: str, name: str) -> None:
    """The scheme, a login and a last slash say nothing of where it is."""
    assert gateway(named) == name


@pytest.mark.parametrize(
    ("path", "provider"),
    [
        ("/v1/chat/completions", "openai"),
        ("/v1/messages", "anthropic"),
        ("/V1/Messages/", "anthropic"),
        ("/v1/messages/batches", "anthropic"),
        ("/v1/messages-of-others", "openai"),
        ("/", "openai"),
    ],
)
def test_the_longest_path_decides(path: str, provider: str) -> None:
    """By whole segments; what no path is said of goes by the host."""
    policy = Policy(providers={"gateway.internal": "openai", "gateway.internal/v1/messages": "anthropic"})
    assert policy.provider(Asked("POST", "gateway.internal", 4000, path)) == provider


def test_one_host_that_speaks_as_two_providers(server: Loopback, recorded: RecordedMeter) -> None:
    """The base URL as the SDK has it, and the path of the other provider below it."""
    base = server.url("/v1")
    instrument(recorded.meter, providers={base: "openai", f"{base}/messages": "anthropic"})
    server.say(
        *(Answer([json.dumps(body).encode()], headers={"content-type": "application/json"}) for body in (CHAT, MESSAGE))
    )
    with recorded.meter.run() as run:
        for node, path in (("chat", "/v1/chat/completions"), ("message", "/v1/messages")):
            with run.node(node):
                httpx.post(server.url(path), json={"model": "m"})
    said = {
        name: [(event.ai.provider, event.ai.input_tokens) for event in events if event.ai]
        for name, events in recorded.by_node().items()
    }
    assert said == {"chat": [("openai", 10)], "message": [("anthropic", 7)]}


def test_a_provider_is_known_however_it_is_written(server: Loopback, recorded: RecordedMeter) -> None:
    """xAI states reasoning beside its completion tokens; under another name it would go uncounted."""
    usage: dict[str, object] = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 18}
    usage |= {"completion_tokens_details": {"reasoning_tokens": 5}}
    answer = {"id": "c-1", "model": "m", "usage": usage}
    server.say(Answer([json.dumps(answer).encode()], headers={"content-type": "application/json"}))
    instrument(recorded.meter, providers={server.url("/v1"): "xAI"})
    with recorded.meter.run() as run, run.node("n"):
        httpx.post(server.url("/v1/chat/completions"), json={"model": "m"})
    ai = recorded.only().ai
    assert ai is not None
    assert (ai.provider, ai.output_tokens) == ("xai", 8)
