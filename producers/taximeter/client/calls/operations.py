"""What operators' probes ask, without a key; and whose key it is that asks."""

from __future__ import annotations

from dataclasses import replace

from taximeter.client.answers.operations import Alive, KeyInfo, Ready
from taximeter.client.call import Call, Reply, Secret, as_model, get


def is_alive() -> Call[Alive]:
    """Whether the process lives."""
    return replace(get("/healthz", as_model(Alive), {}), secret=Secret.NONE)


def is_ready() -> Call[Ready]:
    """Whether requests can be answered and what waits moves; `reasons` says why not."""
    return replace(get("/readyz", as_model(Ready), {}), secret=Secret.NONE, also=frozenset({503}))


def read_key() -> Call[KeyInfo]:
    """The account and the scopes of the client's own key."""
    return get("/v1/key", as_model(KeyInfo), {})


def read_metrics() -> Call[str]:
    """A closed list of metrics in Prometheus' text format."""
    return replace(get("/metrics", _text, {}), secret=Secret.NONE)


def _text(reply: Reply) -> str:
    return reply.body.decode()
