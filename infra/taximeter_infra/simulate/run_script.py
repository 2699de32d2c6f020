"""One simulated run as its events, in the order of their occurrence.

A run visits nodes. An attempt that fails is tried again, up to three times; an AI node now and then calls further
models, whose events have executions = 0; a few runs are cancelled in their last attempt.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any

from taximeter_infra.simulate.catalogue import AGENTS, NODES
from taximeter_infra.simulate.run_facts import RunFacts
from taximeter_infra.simulate.uses import draw_ai, draw_code, draw_http, draw_message, draw_outcome, draw_plugin
from taximeter_schemas.event import Kind, MeterEvent, Outcome
from taximeter_schemas.uuid7 import compose

MOST_ATTEMPTS = 3

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NODE_WEIGHTS = tuple(accumulate(weight for _, weight, _ in NODES))
# Median and spread of an attempt's duration, as a lognormal of microseconds.
_DURATIONS = {
    "ai": (14.2, 0.8),
    "http": (12.0, 0.9),
    "code": (12.5, 1.1),
    "plugin": (12.8, 0.7),
    "condition": (6.5, 0.4),
}


def run_events(facts: RunFacts, size: int, rng: Random) -> Iterator[MeterEvent]:
    """Exactly `size` events of the run."""
    moment_us = facts.started_us
    cancelled = rng.random() < 0.03
    left = size
    visit = 0
    while left:
        visit += 1
        node_type, _, names = rng.choices(NODES, cum_weights=_NODE_WEIGHTS)[0]
        name = rng.choice(names)
        node = {"node_id": f"{name}-{visit}", "node_type": node_type, "agent_name": rng.choice(AGENTS)}
        for attempt in range(1, MOST_ATTEMPTS + 1):
            outcome = Outcome.CANCELLED if cancelled and left == 1 else draw_outcome(rng)
            duration_us = 1 + int(rng.lognormvariate(*_DURATIONS[node_type]))
            moment_us += duration_us
            attempted = {**facts.identity, **node, "attempt": attempt}
            yield _attempt(rng, attempted, name, outcome, (moment_us, duration_us))
            left -= 1
            if node_type == "ai" and left and rng.random() < 0.08:
                for _ in range(min(left, rng.randint(1, 2))):
                    yield _further_model(rng, attempted, moment_us)
                    left -= 1
            if outcome is Outcome.SUCCESS or not left:
                break
            moment_us += 200_000 << attempt
        moment_us += rng.randint(500, 50_000)


def stamped(rng: Random, moment_us: int) -> dict[str, Any]:
    """Id and time of an event that ends at `moment_us`, Unix microseconds."""
    return {
        "event_id": compose(moment_us // 1000, rng.randbytes(10)),
        "occurred_at": _EPOCH + timedelta(microseconds=moment_us),
    }


def _attempt(rng: Random, attempted: dict[str, Any], name: str, outcome: Outcome, when: tuple[int, int]) -> MeterEvent:
    moment_us, duration_us = when
    values = {**attempted, **stamped(rng, moment_us), "duration_us": duration_us}
    match attempted["node_type"]:
        case "ai":
            values["ai"] = draw_ai(rng, outcome)
        case "http":
            values["http"] = draw_http(rng, outcome)
        case "code":
            values["code"] = draw_code(rng, duration_us)
            if outcome is Outcome.ERROR and rng.random() < 0.4:
                values |= {"memory_breaches": 1, "breach_reason": "memory"}
        case "plugin":
            values["plugin"] = draw_plugin(rng, name)
    if outcome is Outcome.TIMEOUT:
        values |= {"timeout_breaches": 1, "breach_reason": "timeout"}
    if rng.random() < 0.1:
        values["provider_metadata"] = {"region": rng.choice(("eu-west-1", "us-east-1"))}
    return MeterEvent(**values, outcome=outcome, error_message=draw_message(rng, outcome))


def _further_model(rng: Random, attempted: dict[str, Any], moment_us: int) -> MeterEvent:
    kind = Kind.USAGE if rng.random() < 0.1 else Kind.NODE
    use = draw_ai(rng, Outcome.SUCCESS)
    return MeterEvent(**attempted, **stamped(rng, moment_us), kind=kind, executions=0, ai=use)
